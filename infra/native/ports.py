"""Ports that somebody else has, found before anything is started."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

LISTENING = "0A"


def taken(ports: Mapping[str, int]) -> list[str]:
    """A sentence for each port that cannot be bound: its setting, and who has it if that can be seen."""
    return [
        f"port {port} ({setting}, see infra/ports.env) is taken by {_holder(port)}"
        for setting, port in ports.items()
        if not _is_free(port)
    ]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _holder(port: int) -> str:
    sockets = {f"socket:[{inode}]" for inode in _listeners(port)}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(opened) in sockets for opened in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                return f"process {process.name}: {' '.join(words.split())[:60]}"
        except OSError:
            continue  # It ended, or belongs to another user.
    return "a process that this user may not look at"


def _listeners(port: int) -> list[str]:
    """Inodes of the sockets that listen on this port, on any address."""
    found = []
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            for line in table.read_text(encoding="ascii").splitlines()[1:]:
                columns = line.split()
                if columns[3] == LISTENING and int(columns[1].rsplit(":", 1)[1], 16) == port:
                    found.append(columns[9])
    return found
