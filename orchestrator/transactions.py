"""The log of two- and three-phase commit: its SQL, and its rows as values.

What the cores call `Force` is a row of this log that is durable, checked by the owner's epoch.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import msgspec

from orchestrator import metrics
from orchestrator.core.commit import Expired, RetryNow, TimedOut
from orchestrator.core.commit import Transaction as State
from orchestrator.core.commit_journal import Begun, ByHand, Resumed, Seen
from orchestrator.core.exchange import Acked, Voted
from services.contract.commit import Protocol, Work
from services.runtime.outbox import Transaction

GROUPED: Protocol = "2pc-group"

CLAIM = """
    INSERT INTO transaction_orders (order_id, kind, transaction_id)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[]) ON CONFLICT DO NOTHING
    RETURNING order_id::text, kind
"""
CLAIMED = """
    SELECT order_id::text, kind FROM transaction_orders WHERE transaction_id = ANY($1::uuid[])
"""
SAVE = """
    INSERT INTO transactions AS t (
        transaction_id, protocol, shard, epoch, running, state, works, traceparent, log, started_at, outcome,
        ended_at)
    SELECT id, protocol, shard, epoch, outcome IS NULL, state, works, traceparent, log,
        now() - make_interval(secs => age_s), outcome, CASE WHEN outcome IS NOT NULL THEN now() END
    FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::bigint[], $5::text[], $6::bytea[], $7::text[],
                $8::text[], $9::float8[], $10::text[])
        AS n (id, protocol, shard, epoch, state, works, traceparent, log, age_s, outcome)
    ON CONFLICT (transaction_id) DO UPDATE SET
        epoch = excluded.epoch, state = excluded.state, running = excluded.running,
        outcome = excluded.outcome, ended_at = excluded.ended_at, log = t.log || excluded.log
"""
UNOWNED = """
    SELECT transaction_id::text, protocol, shard, state, works, traceparent,
           greatest(0, EXTRACT(epoch FROM now() - started_at))::float8 FROM transactions
    WHERE running AND shard = $1 AND epoch < $2 AND transaction_id > $3::uuid
    ORDER BY transaction_id LIMIT $4
"""
NUDGE = """
    UPDATE transactions t SET nudged = true FROM transaction_orders o
    WHERE t.transaction_id = o.transaction_id AND t.running AND (t.transaction_id = $1::uuid
        OR t.transaction_id IN (SELECT transaction_id FROM transaction_orders WHERE order_id = $1::uuid))
    RETURNING o.kind
"""
NUDGED = """
    UPDATE transactions SET nudged = false WHERE running AND nudged AND shard = ANY($1::smallint[])
    RETURNING transaction_id::text
"""

LISTED = """
    SELECT transaction_id::text, protocol, running, state, outcome, started_at, ended_at, epoch, shard,
           EXTRACT(epoch FROM coalesce(ended_at, now()) - started_at)::float8 AS age_s,
           ARRAY(SELECT o.order_id::text FROM transaction_orders o
                 WHERE o.transaction_id = t.transaction_id) AS orders
    FROM transactions t
"""
LOGS = """
    SELECT transaction_id::text, protocol, log
    FROM transactions JOIN transaction_orders USING (transaction_id)
    WHERE order_id = $1::uuid ORDER BY started_at
"""
BY_STATE = f"{LISTED} WHERE running = $1 ORDER BY started_at DESC LIMIT $2"
BY_ORDER = f"""
    {LISTED} WHERE transaction_id = $1::uuid
        OR transaction_id IN (SELECT transaction_id FROM transaction_orders WHERE order_id = $1::uuid)
    ORDER BY started_at
"""
BY_IDS = f"{LISTED} WHERE transaction_id = ANY($1::uuid[])"
WORKS = "SELECT transaction_id::text, works FROM transactions WHERE transaction_id = ANY($1::uuid[])"
NOTE = "UPDATE transactions SET log = log || $2 WHERE transaction_id = $1::uuid"

_state = msgspec.json.Decoder(State)
_raw_line = msgspec.json.Decoder(tuple[float, str, str, msgspec.Raw])
_works = msgspec.json.Decoder(tuple[Work, ...])


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be run as one transaction: one order or, under `2pc-group`, many of one shard."""

    protocol: Protocol
    shard: int
    works: tuple[Work, ...]
    traceparent: str


@dataclass(slots=True)
class Row:
    """A transaction as it is stored. `log` holds only the lines that are not in the database yet."""

    id: str
    protocol: Protocol
    shard: int
    state: State
    works: tuple[Work, ...]
    traceparent: str
    began: float  # on this process's monotonic clock, perhaps before it started
    is_new: bool = False
    log: list[Seen] = field(default_factory=list)

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.began

    @property
    def wanted(self) -> set[str]:
        """The rows it is going to lock."""
        return rows_of(self.works)

    def written(self) -> None:
        """It is in the database as it is now."""
        metrics.count(self.protocol, self.state.outcome, bool(self.state.mixed), self.log)
        self.is_new = False
        self.log.clear()

    @property
    def is_cancellation(self) -> bool:
        return self.works[0].kind == "cancel"


async def claim(sql: asyncpg.Connection, starts: Mapping[str, Start]) -> set[tuple[str, str]]:
    """The (order, kind) of these, by the ids of their transactions, that no other transaction runs yet."""
    claims = sorted((work.order_id, work.kind, id) for id, start in starts.items() for work in start.works)
    claimed = await sql.fetch(CLAIM, *(list(column) for column in zip(*claims, strict=True)))
    return {(row["order_id"], row["kind"]) for row in claimed}


async def claimed(sql: asyncpg.Connection, ids: Iterable[str]) -> set[tuple[str, str]]:
    """The (order, kind) that these transactions run."""
    return {(row["order_id"], row["kind"]) for row in await sql.fetch(CLAIMED, list(ids))}


def save(tx: Transaction, rows: Sequence[Row]) -> None:
    """Writes transactions at the commit, new ones and others alike. One with an outcome is over."""
    if rows:
        tx.write(
            SAVE,
            [r.id for r in rows],
            [r.protocol for r in rows],
            [r.shard for r in rows],
            [r.state.epoch for r in rows],
            [msgspec.json.encode(r.state).decode() for r in rows],
            [msgspec.json.encode(r.works) if r.is_new else b"" for r in rows],  # an update leaves it as it is
            [r.traceparent for r in rows],
            ["".join(_line(seen) for seen in r.log) for r in rows],
            [r.age_s for r in rows],
            [r.state.outcome or None for r in rows],
        )


async def unowned(
    sql: asyncpg.Connection, shard: int, epoch: int, after: str, most: int
) -> list[asyncpg.Record]:
    """Running transactions of a shard that an earlier owner wrote last, by id."""
    return list(await sql.fetch(UNOWNED, shard, epoch, after, most))


def read(record: asyncpg.Record) -> Row:
    """Raises msgspec's ValidationError for a state that this version does not know."""
    id, protocol, shard, state, works, traceparent, age_s = record.values()
    began = time.monotonic() - age_s
    return Row(id, protocol, shard, _state.decode(state), _works.decode(works), traceparent, began)


async def nudge(sql: asyncpg.Connection, id: str) -> list[str]:
    """Makes the owner of this transaction, or of this order's that run, ask again; returns their kinds."""
    return sorted({row["kind"] for row in await sql.fetch(NUDGE, id)})


async def note(sql: asyncpg.Connection, id: str, seen: Seen) -> bool:
    """Adds what did not come from the owner to a transaction's log. False: no such transaction is known."""
    return await sql.execute(NOTE, id, _line(seen)) != "UPDATE 0"


async def wanted(sql: asyncpg.Connection, ids: Sequence[str]) -> dict[str, list[str]]:
    """The rows that each of these transactions wants, in words."""
    return {id: sorted(rows_of(_works.decode(works))) for id, works in await sql.fetch(WORKS, ids)}


def rows_of(works: Iterable[Work]) -> set[str]:
    """Those that others may want, too. A cancellation, which is rare, names none."""
    works = tuple(works)
    customers = {f"customer {work.customer_id}" for work in works if work.customer_id}
    return customers | {f"product {line.sku}" for work in works for line in work.lines}


async def nudged(sql: asyncpg.Connection, shards: Iterable[int]) -> list[str]:
    """The transactions of these shards that were nudged since this was last asked."""
    return [row["transaction_id"] for row in await sql.fetch(NUDGED, list(shards))]


EVENTS: dict[str, msgspec.json.Decoder[Any]] = {
    kind.__name__: msgspec.json.Decoder(kind)
    for kind in (Begun, ByHand, Resumed, Voted, Acked, TimedOut, Expired, RetryNow)
}


def _line(seen: Seen) -> str:
    kind = type(seen.event).__name__
    return msgspec.json.encode((seen.at, seen.node, kind, seen.event)).decode() + "\n"


def read_log(log: str) -> list[Seen]:
    """Raises msgspec's DecodeError, or KeyError, for a log that this version does not know."""
    return [_seen(*_raw_line.decode(line)) for line in log.splitlines()]


def _seen(at: float, node: str, kind: str, event: msgspec.Raw) -> Seen:
    return Seen(at, node, EVENTS[kind].decode(event))
