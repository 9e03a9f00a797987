"""Apache Kafka: fetched from Maven's repository, prepared once, and started quickly ever after.

Kept in the clone's state directory, shared by all stacks: `libs` (the jars), `storage` (a formatted, empty
store, copied for each stack) and `classes.jsa` (the classes that a start loads, parsed beforehand: it halves
the CPU time of a start). All are stamped with what they were made from.
"""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from infra.native import machine, probes
from infra.native.failures import Failure
from infra.native.layout import REPO, default_state, read_json, write_private
from infra.native.screen import say

HOME = default_state() / "kafka"
STAMP = HOME / "installed.json"
SOURCES = REPO / "infra" / "kafka"
CLUSTER_ID = "dHJhZGVvZmYtZGVtby1zaA"
HEAP_MIB = 256


def is_installed() -> bool:
    return read_json(STAMP) == _origin()


def _origin() -> dict[str, str]:
    made_from = hashlib.sha256()
    for name in ("pom.xml", "server.properties"):
        made_from.update((SOURCES / name).read_bytes())
    return {"sources": made_from.hexdigest(), "java": str(machine.java()), "home": str(HOME)}


def install() -> None:
    if is_installed():
        return
    if HOME.is_symlink():
        raise Failure(
            f"{HOME} is a symbolic link, and what is to be installed there is not. Remove the link."
        )
    say("Installing Apache Kafka …")
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    _fetch_jars()
    _format_storage()
    _archive_classes()
    write_private(STAMP, json.dumps(_origin()))


def command(program: str, *arguments: str, tmp: Path = HOME, archive: str = "SharedArchiveFile") -> list[str]:
    """A Java command line. Nothing of it writes outside of the directories that it is given."""
    return [
        str(machine.java()),
        f"-Xmx{HEAP_MIB}m",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        f"-XX:{archive}={HOME / 'classes.jsa'}",
        "-Xlog:disable",
        f"-Djava.io.tmpdir={tmp}",
        f"-Dlog4j2.configurationFile={SOURCES / 'log4j2.properties'}",
        "-cp",
        f"{HOME / 'libs'}/*",
        program,
        *arguments,
    ]


def properties(port: int, controller_port: int, storage: Path) -> str:
    """The shared settings, and after them what is particular to one broker."""
    return (SOURCES / "server.properties").read_text(encoding="utf-8") + "\n".join(
        [
            "",
            f"controller.quorum.voters=1@127.0.0.1:{controller_port}",
            f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}",
            f"log.dirs={storage}",
            "",
        ]
    )


def prepare_storage(storage: Path) -> None:
    """A new stack's storage is a copy of the formatted one."""
    if not storage.exists():
        fresh = storage.with_name(storage.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(HOME / "storage", fresh)
        fresh.rename(storage)


def _fetch_jars() -> None:
    """Maven's own cache is made below our directory and removed: nothing stays in the home directory."""
    java = machine.java()
    assert java is not None, "installed before"
    cache = HOME / "maven-cache"
    maven = [str(machine.find("mvn")), "--batch-mode", "--quiet", "--strict-checksums"]
    done = subprocess.run(
        [
            *maven,
            "--file",
            str(SOURCES / "pom.xml"),
            f"-Dmaven.repo.local={cache}",
            "dependency:copy-dependencies",
            f"-DoutputDirectory={HOME / 'libs'}",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "JAVA_HOME": str(java.parents[1]), "MAVEN_OPTS": "-XX:-UsePerfData"},
        check=False,
    )
    if done.returncode != 0:
        raise Failure(f"Maven could not fetch Apache Kafka:\n{(done.stdout + done.stderr).strip()[-3000:]}")
    shutil.rmtree(cache, ignore_errors=True)


def _format_storage() -> None:
    settings = HOME / "server.properties"
    settings.write_text(properties(_free_port(), _free_port(), HOME / "storage"), encoding="utf-8")
    format_it = command("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings))
    done = subprocess.run(format_it, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")


def _archive_classes() -> None:
    """Runs a broker once and lets it write down, at its end, the classes that it had loaded. Only speed
    depends on it, so a broker that fails here is left to fail with a message in `up`."""
    port, trial = _free_port(), HOME / "trial"
    prepare_storage(trial)
    settings = HOME / "server.properties"
    settings.write_text(properties(port, _free_port(), trial), encoding="utf-8")
    broker_command = command("kafka.Kafka", str(settings), archive="ArchiveClassesAtExit")
    broker = subprocess.Popen(broker_command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not probes.kafka(port) and broker.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        broker.send_signal(signal.SIGTERM)
        broker.wait(60)
    except subprocess.TimeoutExpired:
        broker.kill()
        broker.wait()
    shutil.rmtree(trial, ignore_errors=True)
    settings.unlink()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
