"""One loss at one step under load: what it cost, what it lost, and whether all is well again."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from infra.native import Failure
from infra.native import Stack as Native
from lab.at_rest import all_ended, left_prepared
from lab.containers import Containers
from lab.crash.loss import Ground, Lost, lose
from lab.crash.partition import mend, others, split_orders
from lab.crash.rows import PARTITION, Row
from lab.crash.troublemakers import troublemakers
from lab.databases import LOST, connected
from lab.doubt import prepared
from lab.faults import Faults
from lab.state import Stack, Trouble
from lab.witness import Seen, Witness
from services.contract.commit import PARTICIPANTS

RATE, LOAD_S = 40.0, 4.0
AHEAD_S = 1.0


class Result(msgspec.Struct, frozen=True):
    """A row of the table. Empty `wrong`: nothing was lost. Times are seconds."""

    protocol: str
    at: str
    mode: str
    lost: str
    """Who was killed or stopped; empty when nothing came to the step."""

    in_doubt_s: float
    """The longest that a transaction stood prepared."""

    recovery_s: float
    """From the loss until what was under way then had ended."""

    acknowledged: int
    repeated: int
    split: int
    """Orders that the audit names as split by three-phase commit; they are cancelled. See `Row.may_split`."""

    wrong: list[str]
    seconds: float
    """The row itself."""

    timeline: list[int] = []
    """Orders answered for good in each half second since the first. The loss is after one second."""

    @property
    def row(self) -> Row:
        return Row(self.protocol, self.at, self.mode)


class Doubts:
    """Watches, until it is closed, how long transactions stand prepared."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.longest_s = 0.0

    async def watch(self) -> None:
        while True:
            with suppress(Trouble, *LOST):
                async with connected(self._stack, PARTICIPANTS) as databases:
                    while True:
                        found = await prepared(databases)
                        self.longest_s = max([self.longest_s, *(doubt.age_s for doubt in found)])
                        await asyncio.sleep(0.2)
            await asyncio.sleep(0.2)


async def crash(native: Native | Containers, stack: Stack, row: Row) -> Result:
    """Raises Trouble when the stack takes no faults, or is not well to begin with."""
    began = time.monotonic()
    with Faults(stack) as faults:
        await asyncio.to_thread(faults.put, row.role)  # or the stack takes none
        async with watched(stack) as doubts:
            witness = Witness(stack, RATE, LOAD_S, row.protocol)
            await asyncio.sleep(AHEAD_S)
            lost, wrong = await _lose(Ground(native, stack, faults), row)
            await asyncio.to_thread(faults.clear)
            seen = await witness.verdict()
            wrong += seen.strange + await left_prepared(stack)
    split, broken = await _judge(stack, row, seen)
    return Result(
        *row,
        lost=lost.who,
        in_doubt_s=round(doubts.longest_s, 2),
        recovery_s=round(lost.recovery_s, 2),
        acknowledged=seen.acknowledged,
        repeated=seen.repeated,
        split=split,
        wrong=wrong + broken,
        seconds=round(time.monotonic() - began, 1),
        timeline=seen.timeline,
    )


async def _judge(stack: Stack, row: Row, seen: Seen) -> tuple[int, list[str]]:
    """How many orders were split, and which promises are broken. In a partition a split has to be found."""
    if not row.may_split:
        return 0, seen.broken
    split = split_orders(seen.findings)
    wrong = others(seen, split) + await mend(stack, split)
    if row.mode == PARTITION and not split:
        wrong.append("The partition split no order, or the audit did not find it.")
    return len(split), wrong


async def _lose(ground: Ground, row: Row) -> tuple[Lost, list[str]]:
    """What was lost, and what went wrong about it."""

    async def recovered() -> None:
        await all_ended(ground.stack)

    async with troublemakers(ground.stack, row.protocol):
        try:
            return await lose(ground, row, recovered), []
        except (Trouble, Failure) as trouble:
            return Lost("", 0.0), [str(trouble)]


@asynccontextmanager
async def watched(stack: Stack) -> AsyncIterator[Doubts]:
    doubts = Doubts(stack)
    watching = asyncio.create_task(doubts.watch())
    try:
        yield doubts
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
