"""Stacks that the `tradeoff` command starts for itself: nothing of them is left, however it ends."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from infra.native.layout import Layout
from infra.native.supervisor import until
from lab.stacks import OWN_PORT_OFFSET

COMMAND = [sys.executable, "-m", "lab.cli", "soak", "--own", "--rounds", "1", "--out"]


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def test_a_port_that_is_taken_is_said_in_a_line(tmp_path: Path, temporary: Path) -> None:
    port = Layout.of(temporary, port_offset=OWN_PORT_OFFSET).ports["REDIS_PORT"]
    with socket.create_server(("127.0.0.1", port)):
        done = subprocess.run(
            [*COMMAND, str(tmp_path / "out")],
            capture_output=True,
            text=True,
            env=alone(temporary),
            timeout=60,
        )
    assert done.returncode == 2, done.stderr
    assert f"port {port}" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert not list(temporary.iterdir())


def test_who_ends_the_command_ends_its_stack(tmp_path: Path, temporary: Path) -> None:
    command = [*COMMAND, str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=alone(temporary)) as running:
        assert until(lambda: any(temporary.glob("tradeoff-*/stack.json")), 60)
        [state] = temporary.glob("tradeoff-*")
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=100) == 128 + signal.SIGTERM
    assert not list(temporary.iterdir())
    assert not of(state)


def alone(folder: Path) -> dict[str, str]:
    return os.environ | {"TMPDIR": str(folder), "COLUMNS": "200"}


def of(state: Path) -> list[str]:
    """The processes that know of this state directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(state) in (process / "environ").read_bytes():
                found.append((process / "comm").read_text().strip())
    return found
