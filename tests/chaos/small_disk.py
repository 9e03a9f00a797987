"""A server's data on a disk of its own that can be filled. It is in memory, and takes root who may mount."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.native import Stack

ROOM_MIB = 100
MIB, BLOCK = b"\0" * (1 << 20), b"\0" * 4096


@contextlib.contextmanager
def small_disk(native: Stack, server: str) -> Iterator[Path]:
    """Skips the test where nothing can be mounted. At the end the data is where it was."""
    data = (native.layout.data if server == "kafka" else native.layout.postgres_data) / server
    disk, aside = data.with_name(f"{server}.disk"), data.with_name(f"{server}.aside")
    disk.mkdir()
    try:
        mount(disk, data)
        try:
            with stopped(native, server):
                copy(data, disk)
                data.rename(aside)
                data.symlink_to(disk)
            try:
                yield disk
            finally:
                with stopped(native, server):
                    free(disk)
                    data.unlink()
                    copy(disk, data)
                    shutil.rmtree(aside)
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    finally:
        disk.rmdir()


@contextlib.contextmanager
def stopped(native: Stack, server: str) -> Iterator[None]:
    native.supervisor.stop(server)
    try:
        yield
    finally:
        native.supervisor.start(server)
        native.wait_ready(server)


def mount(disk: Path, data: Path) -> None:
    owner = data.stat()
    used_mib = sum(file.stat().st_blocks for file in data.rglob("*")) // 2048
    options = f"size={used_mib + ROOM_MIB}m,uid={owner.st_uid},gid={owner.st_gid},mode=700"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")


def copy(data: Path, to: Path) -> None:
    subprocess.run(["cp", "-a", f"{data}/.", str(to)], check=True)


def fill(disk: Path) -> None:
    """To the last byte."""
    with open(disk / "ballast", "ab", buffering=0) as ballast:
        for piece in (MIB, BLOCK):
            with contextlib.suppress(OSError):
                while ballast.write(piece) == len(piece):
                    pass


def free(disk: Path) -> None:
    (disk / "ballast").unlink(missing_ok=True)
