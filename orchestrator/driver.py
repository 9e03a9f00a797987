"""The saga's driver: takes events to the pure core, and what the core decides to Postgres and Kafka.

A saga belongs to the shard of its order, a shard to one orchestrator, which proves it in each of its
transactions (see `orchestrator/shards.py`). Only an operator's "retry now" works without: it changes
nothing but when a question is asked.

An answer that arrives twice is stepped twice, and the second time the core changes nothing.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import asyncpg
import structlog

from orchestrator import retention, store
from orchestrator.arrivals import SAGA, Arrival, read, transactions_of
from orchestrator.commands import REFUSABLE, TOPIC_OF, UNDOES, command
from orchestrator.coordinator import Coordinator
from orchestrator.core import backoff
from orchestrator.core import saga as core
from orchestrator.core.journal import LogLine
from orchestrator.core.sagas import DEFINITIONS
from orchestrator.shards import Shards
from orchestrator.store import SagaRow
from services.contract import topics
from services.runtime import dead_letters, fencing
from services.runtime.bus import Record
from services.runtime.database import insist
from services.runtime.dead_letters import DeadLetter
from services.runtime.envelope import Envelope, Malformed, seal, shard_of
from services.runtime.outbox import Outbox, Transaction

log = structlog.get_logger()

LOOK_AT_TIMERS_EVERY_S = 0.5
AT_ONCE = 500
"""Sagas stepped in one transaction of the timer loop."""

STUCK_FOR_S = 60.0
"""Until the timer of a saga that cannot go on rings again: a later version may know what to do with it."""


class Driver:
    """Runs the sagas of the shards that this process owns. `sample` is the share of journals kept."""

    def __init__(
        self,
        name: str,
        outbox: Outbox,
        shards: Shards,
        coordinator: Coordinator,
        sample: float,
        unended: retention.Tell,
    ) -> None:
        """`unended`: which of these orders have not ended, by who knows; see `retention`."""
        self._name = name
        self._outbox = outbox
        self._shards = shards
        self.own = shards.own
        self._coordinator = coordinator
        self._sample = sample
        self._unended = unended

    async def handle(self, records: Sequence[Record]) -> None:
        """Steps each saga through what arrived for it. Raises StaleHolder when another owns its shard."""
        arrivals: list[Arrival] = []
        letters: list[DeadLetter] = []
        for record in records:
            try:
                arrivals.append(read(record))
            except Malformed as error:
                letters.append(DeadLetter(record, str(error)))
        over = await retention.too_late(arrivals, self._unended)
        async with self._shards.lock:
            # Records may be left of shards that are no longer ours: their owner reads them too.
            assigned = self._shards.assigned
            arrivals = [a for a in arrivals if shard_of(a.envelope.subject, topics.PARTITIONS) in assigned]
            if over:
                letters += await insist(
                    partial(self._buried, [a for a in arrivals if a.start and a.key in over])
                )
                arrivals = [a for a in arrivals if a.start is None or a.key not in over]
            others = [a for a in arrivals if a.start is not None and a.start.protocol != SAGA]
            try:
                await self._narrow([a for a in arrivals if a not in others], letters)
                if others:
                    await self._coordinator.begin(transactions_of(others))
            except fencing.StaleHolder:
                self._shards.lose_all()  # whatever is still ours will be assigned to us again
                raise

    async def _buried(self, late: Sequence[Arrival]) -> list[DeadLetter]:
        async with self._outbox.transaction() as tx:
            return await retention.letters(tx.sql, late)

    async def _narrow(self, arrivals: Sequence[Arrival], letters: Sequence[DeadLetter]) -> None:
        """Steps a batch; on a fault of its own, each half by itself, until the poison stands alone."""
        try:
            await insist(partial(self._handle, arrivals, letters))
        except fencing.StaleHolder:
            raise
        except Exception as error:
            if not arrivals:
                raise
            half = len(arrivals) // 2
            if half:
                await self._narrow(arrivals[:half], letters)
                await self._narrow(arrivals[half:], [])
            else:
                log.exception("message failed", key=arrivals[0].key)
                letter = DeadLetter(arrivals[0].record, f"{type(error).__name__}: {error}")
                await insist(partial(self._handle, [], [*letters, letter]))

    async def _handle(self, arrivals: Sequence[Arrival], letters: Sequence[DeadLetter]) -> None:
        async with self._outbox.transaction() as tx:
            shards = {shard_of(arrival.envelope.subject, topics.PARTITIONS) for arrival in arrivals}
            await self._shards.check(tx.sql, shards)
            rows = await store.load(tx.sql, [arrival.key for arrival in arrivals])
            stepped: dict[tuple[str, str], SagaRow] = {}
            for arrival in arrivals:
                row = stepped.get(arrival.key) or rows.get(arrival.key)
                if arrival.answer is None and row is None:
                    stepped[arrival.key] = self._begin(tx, arrival)
                elif (
                    arrival.answer is not None and row is not None and row.saga.phase is not core.Phase.ENDED
                ):
                    self._answered(tx, row, arrival)
                    stepped[arrival.key] = row
            store.save(tx, list(stepped.values()))
            if letters:
                await dead_letters.bury(tx, letters, topic=topics.DEAD_LETTERS, source=self._name)

    def _begin(self, tx: Transaction, arrival: Arrival) -> SagaRow:
        order_id, kind = arrival.key
        saga, effects = core.begin(DEFINITIONS[kind])
        shard = shard_of(order_id, topics.PARTITIONS)
        row = SagaRow(
            order_id=order_id,
            kind=kind,
            shard=shard,
            epoch=self._shards.epochs[shard],
            saga=saga,
            payload=bytes(arrival.envelope.data),
            traceparent=arrival.envelope.traceparent,
            wake_in_s=None,
            wake_for="",
            age_s=0.0,
            keep_log=arrival.traced or arrival.envelope.resent or random.random() < self._sample,
            is_new=True,
            log=[arrival.line(self._name, time.time())],
        )
        self._perform(tx, row, effects)
        return row

    def _answered(self, tx: Transaction, row: SagaRow, arrival: Arrival) -> None:
        assert arrival.answer is not None
        done = arrival.answer.outcome == "done"
        event = core.Answered(arrival.envelope.step, done, arrival.answer.reason, arrival.answer.detail)
        row.keep_log |= not done or arrival.envelope.resent
        self._step(tx, row, event, arrival.line(self._name, time.time()))

    def _step(self, tx: Transaction, row: SagaRow, event: core.Event, line: LogLine) -> None:
        self._take_over(tx, row)
        row.saga, effects = core.step(DEFINITIONS[row.kind], row.saga, event)
        row.log.append(line)
        self._perform(tx, row, effects)

    def _take_over(self, tx: Transaction, row: SagaRow) -> None:
        """A saga that another owner wrote last is resumed: what is unanswered is asked again."""
        epoch = self._shards.epochs[row.shard]
        if row.epoch == epoch:
            return
        row.epoch, row.keep_log = epoch, True
        row.log.append(LogLine(time.time(), self._name, "recovered", note=f"epoch {epoch}"))
        self._perform(tx, row, core.resume(DEFINITIONS[row.kind], row.saga))

    def _perform(self, tx: Transaction, row: SagaRow, effects: Iterable[core.Effect]) -> None:
        for effect in effects:
            match effect:
                case core.Ask(step, attempt):
                    tx.put(TOPIC_OF[step], self._command(row, step, attempt))
                case core.Wake(token, attempt):
                    self._arm(row, token, attempt)
                case core.Ended():
                    row.wake_in_s = None

    def _command(self, row: SagaRow, step: str, attempt: int) -> Envelope:
        return seal(
            command(step, row.payload, row.saga),
            id=f"{row.order_id}/{step}/{attempt}",
            source=self._name,
            subject=row.order_id,
            traceparent=row.traceparent,
            step=step,
            undoes=UNDOES[step],
            refusable=step in REFUSABLE,
        )

    def _arm(self, row: SagaRow, token: str, attempt: int) -> None:
        """Leaves a timer alone that rings soon enough: a saga that goes well moves its index entry only once.

        When it rings it will be found to be for a phase gone by, and armed anew.
        """
        if row.wake_in_s is not None and 0.0 < row.wake_in_s <= backoff.longest_s(attempt):
            return
        row.wake_for = token
        row.wake_in_s = backoff.delay_s(attempt, random.random())
        if core.revocable(DEFINITIONS[row.kind], row.saga):
            row.wake_in_s = max(0.0, min(row.wake_in_s, backoff.DEADLINE_S - row.age_s))

    async def run_timers(self) -> None:
        """Rings timers and resumes the sagas of shards newly owned, for ever."""
        resumed: dict[int, int] = {}
        while True:
            await asyncio.sleep(LOOK_AT_TIMERS_EVERY_S)
            try:
                await self._shards.reclaim()
                epochs = dict(self._shards.epochs)
                for shard, epoch in epochs.items():
                    if resumed.get(shard) != epoch:
                        while await insist(partial(self._resume, shard, epoch)) == AT_ONCE:
                            pass
                        resumed[shard] = epoch
                while await insist(partial(self._ring, set(epochs))) == AT_ONCE:
                    pass
            except fencing.StaleHolder as error:
                log.info("timers of these shards stopped", error=str(error))
                self._shards.lose(error.names)

    async def _resume(self, shard: int, epoch: int) -> int:
        async with self._shards.lock, self._outbox.transaction() as tx:
            await self._shards.check(tx.sql, [shard])
            return await self._each(tx, await store.unowned(tx.sql, shard, epoch, AT_ONCE), self._take_over)

    async def _ring(self, shards: set[int]) -> int:
        async with self._shards.lock, self._outbox.transaction() as tx:
            await self._shards.check(tx.sql, shards)
            return await self._each(tx, await store.due(tx.sql, shards, AT_ONCE), self._rung)

    async def _each(
        self,
        tx: Transaction,
        records: Sequence[asyncpg.Record],
        go_on: Callable[[Transaction, SagaRow], None],
    ) -> int:
        """How many sagas went on. One that cannot, of a kind or in a state that nobody knows, holds up no
        other: it says nothing, stays as it is, and is looked at again after a while."""
        rows: list[SagaRow] = []
        stuck: list[tuple[str, str]] = []
        for record in records:
            said = len(tx.messages)
            try:
                row = store.read(record)
                go_on(tx, row)
                rows.append(row)
            except Exception:
                del tx.messages[said:]
                stuck.append((record["order_id"], record["kind"]))
                log.exception("saga cannot go on", key=stuck[-1])
        store.save(tx, rows)
        await store.put_off(tx.sql, stuck, STUCK_FOR_S)
        return len(rows)

    def _rung(self, tx: Transaction, row: SagaRow) -> None:
        now, token = time.time(), core.token(row.saga)
        expired = row.age_s >= backoff.DEADLINE_S
        row.wake_in_s = None
        if expired and core.revocable(DEFINITIONS[row.kind], row.saga):
            row.keep_log = True
            self._step(tx, row, core.Expired(), LogLine(now, self._name, "expired"))
        elif row.wake_for == token:
            row.keep_log = True
            self._step(tx, row, core.TimedOut(token), LogLine(now, self._name, "timed-out", token))
        else:
            self._arm(row, token, row.saga.attempt)

    async def retry_now(self, order_id: str) -> list[str]:
        """An operator's wish: asks at once what is unanswered, and returns the kinds of the sagas that run.

        Works in any orchestrator: it does not change who owns the saga, only what it asks.
        """
        async with self._outbox.transaction() as tx:
            rows = await store.load(tx.sql, [(order_id, kind) for kind in DEFINITIONS])
            running = [row for row in rows.values() if row.saga.phase is not core.Phase.ENDED]
            for row in running:
                row.keep_log, row.wake_in_s = True, None
                row.saga, effects = core.step(DEFINITIONS[row.kind], row.saga, core.RetryNow())
                row.log.append(LogLine(time.time(), self._name, "retry-now"))
                self._perform(tx, row, effects)
            store.save(tx, running)
        return [row.kind for row in running]
