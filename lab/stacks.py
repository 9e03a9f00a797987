"""The stack that a command works on: the running one, or one of its own."""

import asyncio
import fcntl
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.native import Failure
from infra.native import Stack as Native
from lab import prepare
from lab.containers import Containers
from lab.state import Stack, Trouble, directory, load, parse

OWN_PORT_OFFSET, APART = 3000, 200
"""Of the first stack of a command's own, and what each next one's ports are higher by."""

MOST = 6


async def seeded(stack: Stack) -> None:
    """Enough goods and customers for the load."""
    if await prepare.missing(stack):
        await asyncio.to_thread(prepare.seed_all, stack)


def native() -> Native:
    """The supervisor's view of the stack that the command works on. Raises Trouble."""
    found = Native.existing(directory())
    if not found.supervisor.is_alive():
        raise Trouble("Only a native stack's processes can be lost here. Start one: CHAOS=1 make up")
    return found


def keeper(stack: Stack) -> Native | Containers:
    """Who knows of the processes of this stack, the one that the command works on. Raises Trouble."""
    return Containers(stack) if among_containers(stack) else native()


def among_containers(stack: Stack) -> bool:
    """Whether we are in one, and see those of the services."""
    return bool(stack.addresses) and not stack.ports


def native_if_any() -> Native | None:
    """`native`, or None where the shop runs in containers."""
    try:
        return native()
    except Trouble:
        return None


def arm(started: Native, *, armed: bool) -> None:
    """From now on its services take faults, or do not even look whether there are any."""
    Native(layout=started.layout, environment={"CHAOS": str(int(armed))}).up()


@contextmanager
def stack_of(*, own: bool, number: int = 0) -> Iterator[tuple[Stack, Native]]:
    """The running stack, or one in a temporary folder that is gone afterwards. Raises Trouble.

    Own ones with different numbers, below MOST, stand beside one another.
    """
    if not own:
        yield load(), native()
        return
    with ended_by_sigterm(), tempfile.TemporaryDirectory(prefix="tradeoff-") as folder:
        offset = OWN_PORT_OFFSET + number * APART
        started = Native(Path(folder), port_offset=offset, environment={"CHAOS": "1"})
        try:
            try:
                started.up()
            except Failure as failure:
                raise Trouble(str(failure)) from None
            yield parse(started.told), started
        finally:
            started.clean()


@contextmanager
def running_alone() -> Iterator[tuple[Stack, Native | None]]:
    """The running stack, for one comparison at a time. Raises Trouble."""
    with ended_by_sigterm(), to_oneself():
        yield load(), native_if_any()


@contextmanager
def to_oneself() -> Iterator[None]:
    """No other comparison has the running stack meanwhile. Raises Trouble."""
    with (directory() / "lab.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Trouble(
                "Another comparison is under way on this stack. Wait for it, or take --own."
            ) from None
        yield


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """As by an exception, so that what was done to a stack is undone; Python would just be gone."""

    def end(*_: object) -> None:
        sys.exit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
