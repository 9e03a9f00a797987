"""The coordinator of two- and three-phase commit: takes votes and acknowledgements to the pure cores, and
what they decide to Postgres and the participants.

A transaction belongs to a shard, as a saga does, and to the shard's owner (`shards.py`). It lives in the
owner's memory, one task each; in Postgres is what its core has forced. Everything that many transactions
want at the same moment goes as one: what they force shares a Postgres transaction, what they ask of a
participant shares a call.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import structlog

from orchestrator import transactions
from orchestrator.commands import completion, rejection
from orchestrator.core import backoff, commit, exchange, three_phase, two_phase
from orchestrator.core.commit import (
    Ended,
    Expired,
    Force,
    Phase,
    Refuse,
    Rest,
    RetryNow,
    Send,
    TimedOut,
    Wake,
)
from orchestrator.core.commit_journal import Begun, Resumed, Seen
from orchestrator.participants import Participants
from orchestrator.shards import Shards, fence_of
from orchestrator.transactions import GROUPED, Row, Start
from orchestrator.under_way import Live, UnderWay
from services.contract.commit import PARTICIPANTS
from services.contract.topics import ORDER_COMMANDS
from services.runtime import fencing
from services.runtime.database import Database, insist
from services.runtime.envelope import Envelope
from services.runtime.group_commit import GroupCommit
from services.runtime.ids import uuid7
from services.runtime.outbox import Outbox

log = structlog.get_logger()

CORES = {"2pc": two_phase, GROUPED: two_phase, "3pc": three_phase}
"""The core of each protocol. The grouped one is the same with many orders in one transaction."""

LOOK_EVERY_S, RESUMED_AT_ONCE = 0.5, 200


class Coordinator:
    """Runs the transactions of the shards that this process owns."""

    def __init__(
        self, name: str, database: Database, outbox: Outbox, shards: Shards, participants: Participants
    ) -> None:
        self._name = name
        self._database = database
        self._outbox = outbox
        self._shards = shards
        self._participants = participants
        self._under_way = UnderWay()
        self._tasks: set[asyncio.Task[None]] = set()
        self._log: GroupCommit[Live, bool] = GroupCommit(self._force_all)

    async def begin(self, starts: Sequence[Start]) -> None:
        """Makes these transactions durable, without the orders that others run already, and lets them run.

        Raises StaleHolder when another owns a shard of theirs. Call it under the shards' lock.
        """
        await self._under_way.room()
        for live, effects in await insist(partial(self._begin, {uuid7(): start for start in starts})):
            live.row.written()
            self._conduct(live, effects)
        if any(start.protocol == GROUPED for start in starts):
            await self._under_way.gather()

    async def _begin(self, by_id: Mapping[str, Start]) -> list[tuple[Live, tuple[commit.Effect, ...]]]:
        begun = []
        async with self._outbox.transaction() as tx:
            await self._shards.check(tx.sql, {start.shard for start in by_id.values()})
            claimed = await transactions.claim(tx.sql, by_id)
            is_new = bool(claimed)
            if not is_new:  # all are others', or this was done before, and its commit was not heard of
                claimed = await transactions.claimed(tx.sql, by_id)
            for id, start in by_id.items():
                works = tuple(work for work in start.works if (work.order_id, work.kind) in claimed)
                if works:
                    begun.append(self._first(id, replace(start, works=works)))
            transactions.save(tx, [live.row for live, _ in begun if is_new])
        return begun

    def _first(self, id: str, start: Start) -> tuple[Live, tuple[commit.Effect, ...]]:
        orders = tuple(work.order_id for work in start.works)
        epoch, in_turn = self._shards.epochs[start.shard], start.protocol == GROUPED
        state, effects = CORES[start.protocol].begin(PARTICIPANTS, orders, epoch, in_turn)
        assert effects[0] == Force(), "the start is durable before anybody hears of it"
        row = Row(
            id,
            start.protocol,
            start.shard,
            state,
            start.works,
            start.traceparent,
            time.monotonic(),
            is_new=True,
            log=[Seen(time.time(), self._name, Begun(PARTICIPANTS, orders, epoch, in_turn))],
        )
        return Live(row), effects[1:]

    def _conduct(self, live: Live, effects: Sequence[commit.Effect]) -> None:
        self._under_way.enter(live)
        self._spawn(self._run(live, effects))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, live: Live, effects: Sequence[commit.Effect]) -> None:
        row = live.row
        try:
            while await self._perform(live, effects) and row.state.phase is not Phase.ENDED:
                event = await self._next(live)
                if not self._owns(row):
                    break
                row.log.append(Seen(time.time(), self._name, event))
                row.state, effects = CORES[row.protocol].step(row.state, event)
        except Exception:
            log.exception("transaction cannot go on", transaction=row.id)
        finally:
            self._under_way.leave(live)

    def _owns(self, row: Row) -> bool:
        return self._shards.epochs.get(row.shard) == row.state.epoch

    async def _perform(self, live: Live, effects: Sequence[commit.Effect]) -> bool:
        """False: somebody else owns this transaction by now, and nothing more may happen."""
        row = live.row
        for effect in effects:
            match effect:
                case Refuse(refusal):
                    live.refused.append(refusal)
                    if not row.state.orders:
                        # Nobody has to wait until that is durable.
                        self._under_way.decided(live, refused=True)
                case Force() | Ended():
                    if not await self._log.submit(live):
                        log.info("transaction left to its new owner", transaction=row.id)
                        return False
                case Send(to, request):
                    if isinstance(request, exchange.Prepare):
                        await self._under_way.take_turn(live)
                        if not self._owns(row):
                            return False
                    if isinstance(request, exchange.Commit | exchange.Abort):
                        self._under_way.decided(live)
                    self._spawn(self._ask(live, to, request))
                case Wake(token, attempt):
                    live.token, delay_s = token, backoff.delay_s(attempt, random.random())
                    live.rings_at = time.monotonic() + delay_s
                case Rest(token, attempt):
                    live.token, delay_s = token, backoff.rest_s(attempt, random.random())
                    live.rings_at = time.monotonic() + delay_s
        return True

    async def _next(self, live: Live) -> commit.Event:
        """What the participants say or, if they are silent, the timer. A cancellation has no deadline."""
        row = live.row
        deadline = row.began + backoff.DEADLINE_S
        may_expire = not row.is_cancellation and not row.state.expired
        until = min(live.rings_at, deadline) if may_expire else live.rings_at
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                return await live.events.get()
        return Expired() if may_expire and until == deadline else TimedOut(live.token)

    async def _ask(self, live: Live, to: str, request: exchange.Request) -> None:
        answer = await self._participants.ask(to, live.row, request)
        if answer is not None:
            live.events.put_nowait(answer)

    async def _force_all(self, forced: Sequence[Live]) -> list[bool]:
        """Which of these are durable now. The others' epoch is not the highest any more."""
        while True:
            owned = [live for live in forced if self._owns(live.row)]
            held = {fence_of(live.row.shard): live.row.state.epoch for live in owned}
            try:
                await insist(partial(self._force, owned, held))
            except fencing.StaleHolder as error:
                still = {fence_of(shard): epoch for shard, epoch in self._shards.epochs.items()}
                self._shards.lose(name for name in error.names if still.get(name) == held[name])
            else:
                break
        for live in owned:
            live.row.written()
            live.refused.clear()
        return [live in owned for live in forced]

    async def _force(self, owned: Sequence[Live], held: Mapping[str, int]) -> None:
        if owned:
            async with self._outbox.transaction() as tx:
                await fencing.check(tx.sql, held)
                transactions.save(tx, [live.row for live in owned])
                for live in owned:
                    for envelope in self._last_words(live):
                        tx.put(ORDER_COMMANDS, envelope)

    def _last_words(self, live: Live) -> Iterator[Envelope]:
        """To the order service, which cannot refuse them: of what it did not hear as a participant."""
        row = live.row
        for refusal in live.refused if not row.is_cancellation else ():
            yield rejection(refusal, row.traceparent, self._name)
        if row.state.outcome == "committed" and "order" in row.state.mixed:
            for work in row.works:
                if work.order_id in row.state.orders:
                    yield completion(work.kind, work.order_id, row.traceparent, self._name)

    async def take_over(self) -> None:
        """Resumes what earlier owners of newly owned shards left, hands on operators' nudges, for ever."""
        resumed: dict[int, int] = {}
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            epochs = dict(self._shards.epochs)
            for shard, epoch in epochs.items():
                if resumed.get(shard) != epoch:
                    await self._resume(shard, epoch)
                    resumed[shard] = epoch
            async with self._database.connection() as sql:
                for id in await transactions.nudged(sql, epochs):
                    if live := self._under_way.get(id):
                        live.events.put_nowait(RetryNow())

    async def _resume(self, shard: int, epoch: int) -> None:
        """Never a live transaction: those bear the present epoch, or are under way under it already, and have
        written nothing yet, if this fell over in the middle and begins anew."""
        after = "00000000-0000-0000-0000-000000000000"
        while True:
            async with self._database.connection() as sql:
                records = await transactions.unowned(sql, shard, epoch, after, RESUMED_AT_ONCE)
            for record in records:
                after = record["transaction_id"]
                if self._under_way.has(after, epoch):
                    continue
                try:
                    row = transactions.read(record)
                    row.state, effects = CORES[row.protocol].resume(row.state, epoch)
                    row.log.append(Seen(time.time(), self._name, Resumed(epoch)))
                except Exception:
                    log.exception("transaction cannot be resumed", transaction=after)
                else:
                    log.info("transaction resumed", transaction=row.id, phase=row.state.phase, epoch=epoch)
                    self._conduct(Live(row), effects)
            if len(records) < RESUMED_AT_ONCE:
                return
