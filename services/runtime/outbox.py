"""The transactional outbox: what a transaction says is sent if, and only if, it committed.

A message is written to the table `outbox` in the transaction that causes it, so there is no moment at
which one exists without the other (the *dual write*). All messages of one transaction share one row.
The process that wrote the row sends it as soon as the commit returns, and deletes it in its next
transaction. Between commit and delete the process may die: then its successor of the same name, or
after `ADOPT_AFTER_S` any other replica, adopts the row and sends it again, marked `resent`.

So messages go out at least once, and after a crash perhaps late and out of order; receivers must be
idempotent. Nothing polls by id, so no row is skipped because a lower id committed later.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain

import asyncpg
import msgspec
import structlog
from aiokafka.errors import BrokerResponseError, KafkaError
from msgspec.structs import replace

from services.runtime.bus import Producer
from services.runtime.database import RETRIABLE, Database
from services.runtime.envelope import Envelope, Outgoing, encode, mark_resent

log = structlog.get_logger()

ADOPT_AFTER_S = 5.0
"""A row this old, or of a time to come, was left behind; to overtake a slow writer only repeats messages."""

ADOPT_AT_ONCE = 100
"""Rows; each may hold the messages of a whole batch. While so many wait for Kafka, no more are adopted."""

SWEEP_EVERY_S = 0.5
"""How long the rows of an idle process outlive their sending."""

SAVE = "INSERT INTO outbox (owner, messages) VALUES ($1, $2)"
KEEP = "UPDATE outbox SET messages = $2 WHERE id = $1"
SWEEP = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
# An array, so that it is selected once: a plan may ask `IN` for each row, and the limit would be none.
ADOPT = """
    UPDATE outbox SET owner = $1, taken_at = now()
    WHERE id = ANY(ARRAY(
        SELECT id FROM outbox
        WHERE owner = ANY($2::text[]) OR abs(extract(epoch FROM now() - taken_at)::float8) > $3
        ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED))
    RETURNING id, messages
"""

PARAMETER = re.compile(r"\$(\d+)")

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Outgoing])


@dataclass(slots=True)
class Transaction:
    """An open Postgres transaction, `sql`, the messages that will go out if it commits, its last writes, and
    what to call after the commit (not promised: the process may die between the two)."""

    sql: asyncpg.Connection
    messages: list[Outgoing] = field(default_factory=list)
    writes: list[tuple[str, tuple[object, ...]]] = field(default_factory=list)
    after: list[Callable[[], None]] = field(default_factory=list)

    def write(self, statement: str, *arguments: object) -> None:
        """Runs one INSERT, UPDATE or DELETE just before the commit, in one round trip with all others.

        For what this transaction does not read again. No two of them may touch the same row.
        """
        self.writes.append((statement, arguments))

    def put(self, topic: str, envelope: Envelope) -> None:
        self.messages.append(Outgoing(topic, envelope.subject, encode(envelope)))


class Outbox:
    """Opens the transactions of one process and sends what they say."""

    def __init__(self, owner: str, database: Database, producer: Producer) -> None:
        self._owner = owner
        self._database = database
        self._producer = producer
        self._committed: asyncio.Queue[tuple[int, list[Outgoing]]] = asyncio.Queue()
        self._sent: list[int] = []
        self._unsent: set[int] = set()

    @contextlib.asynccontextmanager
    async def transaction(self, database: Database | None = None) -> AsyncIterator[Transaction]:
        """Commits the block's writes together with its messages, or neither; then hands them to `run`."""
        row_id = 0
        sweep: list[int] = []
        try:
            async with (database or self._database).transaction() as sql:
                transaction = Transaction(sql)
                yield transaction
                if transaction.messages:
                    sweep, self._sent = self._sent, []
                    transaction.write(SWEEP, sweep)
                    transaction.write(SAVE, self._owner, _encoder.encode(transaction.messages))
                if transaction.writes:
                    statements, arguments = zip(*transaction.writes, strict=True)
                    at_once = in_one(statements, bool(transaction.messages))
                    row_id = await sql.fetchval(at_once, *chain.from_iterable(arguments))
        except BaseException:
            self._sent += sweep  # the rows may still be there; deleting one twice does nothing
            raise
        for call in transaction.after:
            call()
        if row_id:
            self._enqueue(row_id, transaction.messages)

    def _enqueue(self, row_id: int, messages: list[Outgoing]) -> None:
        if row_id not in self._unsent:  # while Kafka is away, rows are adopted again and again
            self._unsent.add(row_id)
            self._committed.put_nowait((row_id, messages))

    async def run(self) -> None:
        """Sends for ever, in the order of the commits; everything that waits goes out together."""
        await self.adopt(predecessor=True)
        while True:
            try:
                rows = [await asyncio.wait_for(self._committed.get(), SWEEP_EVERY_S)]
            except TimeoutError:
                await self._sweep()
                continue
            while not self._committed.empty():
                rows.append(self._committed.get_nowait())
            await self._send(rows)

    async def _send(self, rows: list[tuple[int, list[Outgoing]]]) -> None:
        ids = [row_id for row_id, _ in rows]
        try:
            if await self._acknowledged([message for _, messages in rows for message in messages]):
                self._sent += ids
            else:
                for row_id, messages in rows:
                    await self._send_alone(row_id, messages)
        finally:
            self._unsent.difference_update(ids)  # sent, or to be adopted again

    async def _acknowledged(self, messages: list[Outgoing]) -> bool:
        """Repeats until Kafka has them all. False: the broker will not have one of them."""
        pause_s = 0.05
        while True:
            try:
                await self._producer.send(messages)
                return True
            except (KafkaError, OSError, TimeoutError) as error:
                if isinstance(error, BrokerResponseError) and not error.retriable:
                    return False
                log.warning("outbox not sent, trying again", messages=len(messages), error=repr(error))
                await asyncio.sleep(pause_s)
                pause_s = min(2.0, pause_s * 2)

    async def _send_alone(self, row_id: int, messages: list[Outgoing]) -> None:
        """What the broker refuses, as a rule for its size, stays in the row, where the audit finds it and
        janitors try it again."""
        refused = await self._refused(messages)
        if not refused:
            self._sent.append(row_id)
            return
        for message in refused:
            log.error("Kafka refuses a message", row=row_id, topic=message.topic, subject=message.subject)
        with contextlib.suppress(*RETRIABLE, asyncpg.PostgresError):  # or the others are repeated, too
            async with self._database.connection() as sql:
                await sql.execute(KEEP, row_id, _encoder.encode(refused))

    async def _refused(self, messages: list[Outgoing]) -> list[Outgoing]:
        """Sends all but the ones it returns, found by halves."""
        if await self._acknowledged(messages):
            return []
        half = len(messages) // 2
        if not half:
            return messages
        return [*await self._refused(messages[:half]), *await self._refused(messages[half:])]

    async def _sweep(self) -> None:
        sweep, self._sent = self._sent, []
        try:
            if sweep:
                async with self._database.connection() as sql:
                    await sql.execute(SWEEP, sweep)
        except (*RETRIABLE, asyncpg.PostgresError):
            self._sent += sweep

    async def adopt(self, *, predecessor: bool = False) -> int:
        """Takes over what dead processes left behind, or what this one's own earlier life did.

        Returns how many rows were taken, not more than can wait in memory. Called at start for the
        predecessor of the same name, and by the janitor, for everybody.
        """
        taken = 0
        owners = [self._owner] if predecessor else []
        while len(self._unsent) < ADOPT_AT_ONCE:
            async with self._database.transaction() as sql:
                rows = await sql.fetch(ADOPT, self._owner, owners, ADOPT_AFTER_S, ADOPT_AT_ONCE)
            for row in rows:
                messages = _decoder.decode(row["messages"])
                self._enqueue(row["id"], [replace(m, value=mark_resent(m.value)) for m in messages])
            taken += len(rows)
            if len(rows) < ADOPT_AT_ONCE or predecessor:
                break
        return taken


@cache
def in_one(statements: tuple[str, ...], returning_id: bool) -> str:
    """One statement that runs them all; returns the id that the last one gave, or nothing."""
    parts: list[str] = []
    before = 0
    for number, statement in enumerate(statements):
        numbers = [int(n) for n in PARAMETER.findall(statement)]
        shifted = PARAMETER.sub(partial(_shift, before), statement)
        last = returning_id and number == len(statements) - 1
        parts.append(f"w{number} AS ({shifted}{' RETURNING id' if last else ''})")
        before += max(numbers, default=0)
    return f"WITH {', '.join(parts)} SELECT {f'id FROM w{len(parts) - 1}' if returning_id else 'NULL'}"


def _shift(by: int, parameter: re.Match[str]) -> str:
    return f"${int(parameter[1]) + by}"
