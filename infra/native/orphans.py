"""Processes of a stack whose supervisor was killed: found by what is in their environment, and ended."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from infra.native.layout import Layout
from infra.native.supervisor import OURS, until

PATIENCE_S = 15.0


def end(layout: Layout) -> None:
    """Asks them to end, and after a while does not ask any more."""
    found = _of(layout)
    resume(found)
    _send(found, signal.SIGTERM)
    _send((pid for pid in found if _is_postgres(pid)), signal.SIGINT)
    if not until(lambda: not _of(layout), PATIENCE_S):
        _send(_of(layout), signal.SIGKILL)
        until(lambda: not _of(layout), PATIENCE_S)


def resume(pids: Iterable[int]) -> None:
    """A process that was paused does not even hear that it shall end."""
    _send(pids, signal.SIGCONT)


def _of(layout: Layout) -> list[int]:
    """supervisord marks each process that it starts."""
    marks = {f"{OURS}={layout.state}".encode(), b"SUPERVISOR_ENABLED=1"}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marks <= set((process / "environ").read_bytes().split(b"\0")):
                found.append(int(process.name))
        except OSError:
            continue  # It ended, or belongs to another user.
    return found


def _is_postgres(pid: int) -> bool:
    """Postgres takes SIGTERM for `when all clients have left`, and SIGINT for `now`."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip() == "postgres"
    except OSError:
        return False


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        if pid > 0:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
