"""Installs what is missing and nothing else. What is there is recognised by stamps, in milliseconds."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.native import kafka, machine, python_packages
from infra.native.failures import Failure
from infra.native.layout import default_state
from infra.native.screen import say, tail


@dataclass(frozen=True, slots=True)
class Wanted:
    """Beside the Python packages that the shop and the `tradeoff` command need."""

    servers: bool = True
    dev: bool = False
    """To be tested and checked."""

    locust: bool = False
    browser: bool = False
    clocks: bool = False


def ensure_installed(wanted: Wanted = Wanted()) -> None:
    """Returns when all of it is there. Raises Failure, having changed nothing, when system packages are
    missing and this user or system cannot install them."""
    if _is_complete(wanted):
        return
    if needed := _missing_packages(wanted):
        right = _way_to_be_root() if machine.is_debian_like() else None
        if right is None:
            raise Failure(_what_to_install(needed))
        with _one_at_a_time():
            _install_packages(_missing_packages(wanted), right)
    with _one_at_a_time():
        with ThreadPoolExecutor() as pool:
            waiting = [pool.submit(python_packages.install, dev=wanted.dev)]
            if wanted.servers:
                waiting.append(pool.submit(kafka.install))
            if wanted.locust:
                waiting.append(pool.submit(python_packages.install_locust))
            for done in waiting:
                done.result()


def _is_complete(wanted: Wanted) -> bool:
    return (
        python_packages.are_installed(dev=wanted.dev)
        and (python_packages.locust_is_installed() or not wanted.locust)
        and (kafka.is_installed() or not wanted.servers)
        and not _missing_packages(wanted)
    )


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """`make demo` and `make test` at the same moment must not install into one another."""
    default_state().mkdir(exist_ok=True)
    with open(default_state() / "install.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _missing_packages(wanted: Wanted) -> list[str]:
    needed = machine.missing_for_python(venv_is_there=python_packages.PYTHON.exists())
    if wanted.servers:
        needed += machine.missing_for_servers(kafka_is_there=kafka.is_installed())
    if wanted.browser:
        needed += machine.missing_for_pages()
    if wanted.clocks:
        needed += machine.missing_for_clocks()
    return needed


def _what_to_install(needed: Sequence[str]) -> str:
    names = _plain_names(needed)
    return (
        f"Missing on this system, and not to be installed by this user: {names}\n"
        "On Debian or Ubuntu, as root or with sudo, `make up` installs them, or you do:\n"
        f"    apt-get install {names}\n"
        "On another system install the same programs by its own means, or use Docker:\n"
        "    docker compose up --build --wait\n"
        "Nothing has been changed."
    )


def _plain_names(needed: Sequence[str]) -> str:
    """As a person would ask for them: which Java it is depends on the distribution."""
    return " ".join("default-jre-headless" if "-jre-" in package else package for package in needed)


def _install_packages(needed: Sequence[str], right: Sequence[str]) -> None:
    """`right`: the words before a command that needs root. Another run may have done it meanwhile."""
    if not needed:
        return
    names = _plain_names(needed)
    say(f"Installing system packages: {names} …")
    log = _log("apt.log")
    script = Path(__file__).with_name("apt.py")
    with open(log, "w", encoding="utf-8") as output:
        command = [*right, sys.executable, "-I", str(script), *needed]
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise Failure(f"apt-get could not install {names}. The end of {log}:\n{tail(log)}")
    machine.java.cache_clear()
    machine.postgres_programs.cache_clear()


def _way_to_be_root() -> list[str] | None:
    """The words to put before a command that needs root; None when there is no way."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
        return ["sudo", "-n"]
    if sys.stdin.isatty() and subprocess.run(["sudo", "-v"], check=False).returncode == 0:
        return ["sudo"]
    return None


def _log(name: str) -> Path:
    directory = default_state() / "logs"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory / name
