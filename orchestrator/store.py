"""The saga log's SQL, and its rows as values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import asyncpg
import msgspec

from orchestrator.core.journal import LogLine
from orchestrator.core.saga import Saga
from services.runtime.outbox import Transaction

FAR_OFF_S = 90.0
"""No timer is set for so long: one that has so long to go was set by a clock that has been put back."""

ROW = """
    SELECT order_id::text, kind, shard, epoch, state, payload, traceparent,
           EXTRACT(epoch FROM wake_at - now())::float8, wake_for,
           greatest(0, EXTRACT(epoch FROM now() - started_at))::float8, keep_log
"""
# Locked in one order everywhere. A saga is only ever stepped by the owner of its shard, but timers and
# operators step it too, in transactions of their own.
LOAD = f"""
    {ROW} FROM sagas WHERE (order_id, kind) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))
    ORDER BY order_id, kind FOR UPDATE
"""
DUE = f"""
    {ROW} FROM sagas WHERE running AND shard = ANY($1::smallint[])
        AND (wake_at <= now() OR wake_at > now() + make_interval(secs => {FAR_OFF_S}))
    ORDER BY order_id, kind LIMIT $2 FOR UPDATE SKIP LOCKED
"""
UNOWNED = f"""
    {ROW} FROM sagas WHERE running AND shard = $1 AND epoch < $2
    ORDER BY order_id, kind LIMIT $3 FOR UPDATE SKIP LOCKED
"""
SAVE = """
    INSERT INTO sagas AS s (
        order_id, kind, shard, epoch, state, payload, traceparent, log, wake_at, wake_for, started_at,
        keep_log, running, outcome, ended_at)
    SELECT order_id, kind, shard, epoch, state, payload, traceparent, log,
        now() + make_interval(secs => wake_in_s), wake_for, now() - make_interval(secs => age_s),
        keep_log, outcome IS NULL, outcome, CASE WHEN outcome IS NOT NULL THEN now() END
    FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::bigint[], $5::text[], $6::bytea[], $7::text[],
                $8::text[], $9::float8[], $10::text[], $11::float8[], $12::boolean[],
                $13::text[])
        AS n (order_id, kind, shard, epoch, state, payload, traceparent, log, wake_in_s, wake_for, age_s,
              keep_log, outcome)
    ON CONFLICT (order_id, kind) DO UPDATE SET
        epoch = excluded.epoch, state = excluded.state,
        wake_at = excluded.wake_at, wake_for = excluded.wake_for,
        running = excluded.running, outcome = excluded.outcome, ended_at = excluded.ended_at,
        keep_log = excluded.keep_log, started_at = least(s.started_at, excluded.started_at),
        log = CASE WHEN excluded.running OR excluded.keep_log THEN s.log || excluded.log ELSE '' END
"""
PUT_OFF = """
    UPDATE sagas SET wake_at = now() + make_interval(secs => $3)
    WHERE (order_id, kind) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))
"""
LISTED = """
    SELECT order_id::text, kind, running, state, outcome, started_at, ended_at, wake_at, epoch, shard,
           EXTRACT(epoch FROM coalesce(ended_at, now()) - started_at)::float8 AS age_s
    FROM sagas
"""
BY_STATE = f"{LISTED} WHERE running = $1 ORDER BY started_at DESC LIMIT $2"
BY_ORDER = f"{LISTED} WHERE order_id = $1::uuid ORDER BY started_at"
LOGS = "SELECT kind, log FROM sagas WHERE order_id = $1::uuid ORDER BY started_at"

_state = msgspec.json.Decoder(Saga)
_line = msgspec.json.Decoder(LogLine)


@dataclass(slots=True)
class SagaRow:
    """A saga as it is stored. Its times are told from Postgres's present one, so that one clock judges.

    `wake_for` is the token of the timer that rings in `wake_in_s`. `log` holds only the lines that are not
    in the database yet; it outlives a saga that went well only if `keep_log`.
    """

    order_id: str
    kind: str
    shard: int
    epoch: int
    saga: Saga
    payload: bytes
    traceparent: str
    wake_in_s: float | None
    wake_for: str
    age_s: float
    keep_log: bool
    is_new: bool = False
    log: list[LogLine] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str]:
        return self.order_id, self.kind


def read(row: asyncpg.Record) -> SagaRow:
    """Raises MsgspecError for a state that is none."""
    order_id, kind, shard, epoch, state, *rest = row.values()
    return SagaRow(order_id, kind, shard, epoch, _state.decode(state), *rest)


async def load(sql: asyncpg.Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], SagaRow]:
    asked = sorted(set(keys))
    rows = await sql.fetch(LOAD, [order_id for order_id, _ in asked], [kind for _, kind in asked])
    return {row.key: row for row in map(read, rows)}


async def due(sql: asyncpg.Connection, shards: Iterable[int], most: int) -> list[asyncpg.Record]:
    """Sagas of these shards whose timer has rung, unread."""
    return await sql.fetch(DUE, list(shards), most)


async def unowned(sql: asyncpg.Connection, shard: int, epoch: int, most: int) -> list[asyncpg.Record]:
    """Running sagas of a shard that an earlier owner wrote last, unread."""
    return await sql.fetch(UNOWNED, shard, epoch, most)


async def put_off(sql: asyncpg.Connection, keys: Sequence[tuple[str, str]], for_s: float) -> None:
    if keys:
        await sql.execute(PUT_OFF, [order_id for order_id, _ in keys], [kind for _, kind in keys], for_s)


def save(tx: Transaction, rows: Sequence[SagaRow]) -> None:
    """Writes sagas at the commit, new ones and stepped ones alike. A saga with an outcome is over."""
    if rows:
        tx.write(
            SAVE,
            [r.order_id for r in rows],
            [r.kind for r in rows],
            [r.shard for r in rows],
            [r.epoch for r in rows],
            [_text(r.saga) for r in rows],
            [r.payload if r.is_new else b"" for r in rows],  # an update leaves it as it is
            [r.traceparent for r in rows],
            [_lines(r.log) for r in rows],
            [r.wake_in_s for r in rows],
            [r.wake_for for r in rows],
            [r.age_s for r in rows],
            [r.keep_log for r in rows],
            [r.saga.outcome or None for r in rows],
        )


def _text(saga: Saga) -> str:
    return msgspec.json.encode(saga).decode()


def _lines(log: Iterable[LogLine]) -> str:
    return "".join(msgspec.json.encode(line).decode() + "\n" for line in log)


def read_log(log: str) -> list[LogLine]:
    return [_line.decode(line) for line in log.splitlines()]
