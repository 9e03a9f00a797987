"""Where things are lost: on the running native stack, or on one of its own."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.native import Stack as Native
from lab import prepare
from lab.state import Stack, Trouble, directory, load, parse

OWN_PORT_OFFSET = 3000


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


@contextmanager
def stack_of(*, own: bool) -> Iterator[tuple[Stack, Native]]:
    """The running stack, or one in a temporary folder that is gone afterwards."""
    if not own:
        yield load(), native()
        return
    with tempfile.TemporaryDirectory(prefix="tradeoff-") as folder:
        started = Native(Path(folder), port_offset=OWN_PORT_OFFSET, environment={"CHAOS": "1"})
        try:
            started.up()
            yield parse(started.told), started
        finally:
            started.clean()
