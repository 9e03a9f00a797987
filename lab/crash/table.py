"""The table: row after row, on one stack or several, each written down at once, so that it can be resumed."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec

from infra.native import Stack as Native
from lab import kept
from lab.containers import Containers
from lab.crash.crash import Result, crash
from lab.crash.rows import Row
from lab.stacks import keeper, seeded, stack_of
from lab.state import Stack, Trouble, load

RESULT, PAGE = "result.json", "index.html"

Tell = Callable[[Result, int, int, float], None]
"""Told of each row when it is done: how many are, of how many, and about how many seconds are left."""


class Table(msgspec.Struct):
    """`result.json`."""

    began: str
    machine: str
    command: str
    rows: list[Result]

    @property
    def failed(self) -> list[Result]:
        return [result for result in self.rows if result.wrong]


def read(path: Path) -> Table:
    """Raises Trouble."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Table)
    except FileNotFoundError:
        raise Trouble(f"There is nothing to resume: no {path}.") from None
    except msgspec.MsgspecError as error:
        raise Trouble(f"{path} is not a table: {error}.") from None


def begun(folder: Path, command: str, *, resume: bool) -> Table:
    if resume:
        return read(folder / RESULT)
    return Table(datetime.now(UTC).isoformat(timespec="seconds"), kept.machine(), command, [])


def left(table: Table, rows: Sequence[Row]) -> list[Row]:
    """Those that it does not have yet. What failed is tried again."""
    done = {result.row for result in table.rows if not result.wrong}
    return [row for row in rows if row not in done]


async def fill(
    table: Table,
    rows: Sequence[Row],
    folder: Path,
    tell: Tell,
    stacks: Sequence[tuple[Stack, Native | Containers]],
) -> None:
    """Runs what is left of these rows; a stack that is done with one takes the next."""
    todo = left(table, rows)
    began, waiting, done = time.monotonic(), iter(todo), count(1)

    async def take(stack: Stack, own: Native | Containers) -> None:
        await seeded(stack)
        for row in waiting:
            result = await crash(own, stack, row)
            table.rows = [known for known in table.rows if known.row != row] + [result]
            kept.write(table, folder / RESULT)
            number = next(done)
            each = (time.monotonic() - began) / number
            tell(result, number, len(todo), each * (len(todo) - number))

    await asyncio.gather(*(take(stack, own) for stack, own in stacks))


def run(table: Table, rows: Sequence[Row], folder: Path, tell: Tell, *, own: bool, stacks: int) -> None:
    """On `stacks` of its own, or on the running one."""
    with ExitStack() as standing:
        found: list[tuple[Stack, Native | Containers]] = [
            standing.enter_context(stack_of(own=own, number=number)) for number in range(stacks * own)
        ]
        if not own:
            found = [(stack := load(), keeper(stack))]
        asyncio.run(fill(table, rows, folder, tell, found))
