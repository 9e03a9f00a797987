"""The transactions that a coordinator has under way, and how many of them go at a time."""

import asyncio
import contextlib
from dataclasses import dataclass, field

from orchestrator.core import backoff, commit, exchange
from orchestrator.core.commit import Phase
from orchestrator.transactions import GROUPED, Row
from orchestrator.turns import Turn, Turns

MOST_LIVE = 1_000
"""Transactions in memory; beyond it, starts wait in Kafka."""

VOTING_AT_ONCE = 32  # are asked for their votes; the others wait with nothing locked

GROUPS_AT_ONCE, GATHER_S = 2, 0.1
"""While so many groups are under way, the orders of the next ones come together in Kafka; at most so long,
for a group that is in doubt holds up nobody."""


@dataclass(slots=True, eq=False)
class Live:
    row: Row
    events: asyncio.Queue[commit.Event] = field(default_factory=asyncio.Queue)
    rings_at: float = 0.0  # on the monotonic clock; with what token
    token: str = ""
    refused: list[exchange.Refusal] = field(default_factory=list)  # to be told with the next Force
    turn: Turn | None = None  # while its round is undecided


class UnderWay:
    """From `enter` to `leave`. Who votes has a turn, from `take_turn` to `decided`."""

    def __init__(self) -> None:
        self._live: dict[str, Live] = {}
        self._turns = Turns(VOTING_AT_ONCE)
        self._room = asyncio.Event()
        self._groups, self._fewer_groups = 0, asyncio.Event()
        self._let_in()

    def get(self, id: str) -> Live | None:
        return self._live.get(id)

    def has(self, id: str, epoch: int) -> bool:
        live = self.get(id)
        return live is not None and live.row.state.epoch == epoch

    async def room(self) -> None:
        """Returns when there is room for more."""
        await self._room.wait()

    async def gather(self) -> None:
        """Returns when another group may begin, or has waited long enough."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GATHER_S):
                await self._fewer_groups.wait()

    def enter(self, live: Live) -> None:
        self._live[live.row.id] = live
        if live.row.state.phase is Phase.VOTING:
            live.turn = self._turns.queue(live.row.wanted)
        self._groups += live.row.protocol == GROUPED
        self._let_in()

    def leave(self, live: Live) -> None:
        self.decided(live)
        if self._live.get(live.row.id) is live:  # or the shard came back, and the new owner's is there
            del self._live[live.row.id]
        self._groups -= live.row.protocol == GROUPED
        self._let_in()

    def _let_in(self) -> None:
        for door, is_open in (
            (self._room, len(self._live) < MOST_LIVE),
            (self._fewer_groups, self._groups < GROUPS_AT_ONCE),
        ):
            (door.set if is_open else door.clear)()

    async def take_turn(self, live: Live) -> None:
        """Among those who want the same; until the deadline, when it goes without."""
        live.turn = live.turn or self._turns.queue(live.row.wanted)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, backoff.DEADLINE_S - live.row.age_s)):
                await live.turn.has_come.wait()

    def decided(self, live: Live, refused: bool = False) -> None:
        """What it wanted is decided: the next one's question travels with the answer to this one's."""
        if live.turn is not None:
            self._turns.leave(live.turn, refused)
        live.turn = None
