"""What an operator can see of a participant's transactions in doubt, and decide in the coordinator's place.

Such a decision is called *heuristic* (X/Open, "Distributed transaction processing: the XA specification",
1991, section 2.2.3): it frees the locks, and is wrong when the coordinator decides otherwise. So it is
written down first, and the coordinator, which still tells and asks everybody, hears what was done.
"""

from collections.abc import Sequence
from typing import Any, cast

import asyncpg
import msgspec
from fastapi import FastAPI, Request, Response

from orchestrator.core.exchange import Abort, Acked, Commit, Inquire
from orchestrator.core.participant import read_gid
from services.commit.participant import OURS, Call
from services.commit.route import ParticipantRoute
from services.contract.commit import (
    DOUBTS_PATH,
    RESOLUTIONS_PATH,
    Doubt,
    Doubts,
    Resolution,
    Resolved,
    Stranger,
    Waiter,
)
from services.runtime.http import read_body, require
from services.runtime.ids import is_uuid
from services.runtime.problems import Problem

MOST_SHOWN, LONGEST_STATEMENT = 1_000, 200
LARGEST_RESOLUTION, LONGEST_REASON = 1 << 14, 500
CONTROL = {chr(code) for code in (*range(32), *range(127, 160))}
"""With them a reason could look like something else, in a terminal or in the audit's words."""

# A prepared transaction belongs to no process: its locks have no pid, and bear its number as -1/number.
PREPARED = f"""
    WITH mine AS MATERIALIZED (
        SELECT gid, transaction, prepared,
            CASE WHEN gid ~ '^{OURS}' THEN split_part(split_part(gid, '/', 1), ':', 2)::uuid END AS id
        FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT $1
    ), held AS MATERIALIZED (SELECT * FROM pg_locks WHERE pid IS NULL AND granted)
    SELECT m.gid, extract(epoch FROM clock_timestamp() - m.prepared)::float8 AS prepared_s,
        m.id IS NOT NULL AS ours, n.transaction_id IS NOT NULL AS precommitted,
        coalesce(t.tables, '{{}}') AS tables
    FROM mine m LEFT JOIN precommits n ON n.transaction_id = m.id
    LEFT JOIN held own ON own.transactionid = m.transaction
    LEFT JOIN (
        SELECT virtualtransaction, array_agg(DISTINCT c.relname::text) AS tables
        FROM held JOIN pg_class c ON c.oid = relation AND c.relkind = 'r'
        WHERE mode = 'RowExclusiveLock' GROUP BY virtualtransaction
    ) t ON t.virtualtransaction = own.virtualtransaction
    ORDER BY m.prepared
"""
# Who waits behind whom is asked once of each that waits: the question stops the lock manager.
WAITERS = """
    WITH RECURSIVE blocked AS MATERIALIZED (
        SELECT pid, pg_blocking_pids(pid) AS behind, left(query, $1) AS statement, query_start
        FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
    ), waiting AS (
        SELECT p.gid, l.pid FROM pg_locks l JOIN pg_prepared_xacts p ON l.transactionid = p.transaction
        WHERE NOT l.granted AND p.database = current_database()
        UNION
        SELECT w.gid, b.pid FROM waiting w JOIN blocked b ON w.pid = ANY(b.behind)
    )
    SELECT w.gid, w.pid, b.statement,
        extract(epoch FROM clock_timestamp() - b.query_start)::float8 AS waits_s
    FROM waiting w JOIN blocked b USING (pid) ORDER BY b.query_start LIMIT $2
"""
GID = f"""
    SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND gid ~ '^{OURS}'
        AND split_part(split_part(gid, '/', 1), ':', 2) = $1::text
"""
DECIDE = """
    INSERT INTO heuristics (transaction_id, outcome, reason) VALUES ($1::uuid, $2, $3) RETURNING id
"""
FOUND = "UPDATE heuristics SET found = $2 WHERE id = $1"

_resolutions = msgspec.json.Decoder(Resolution)
_encode = msgspec.json.Encoder().encode


class DoubtRoutes:
    """One service's transactions in doubt, for those who bear the participants' credential."""

    def __init__(self, name: str, route: ParticipantRoute) -> None:
        self._name = name
        self._token = route.token
        self._participant = route.participant
        self._database = route.participant.deciding

    def add_to(self, app: FastAPI) -> None:
        app.get(DOUBTS_PATH, include_in_schema=False)(self._get)
        app.post(RESOLUTIONS_PATH, include_in_schema=False)(self._post)

    async def _get(self, request: Request) -> Response:
        require(request, self._token, "participant")
        return _answer(await self.doubts())

    async def _post(self, request: Request) -> Response:
        """Raises Problem 401, 413, 415 or 422; then nothing was done."""
        require(request, self._token, "participant")
        return _answer(await self.resolve(_read(await read_body(request, LARGEST_RESOLUTION))))

    async def doubts(self) -> Doubts:
        """All that is prepared here, the oldest first: what bears a name of ours, and what does not."""
        async with self._database.connection() as sql:
            prepared = await sql.fetch(PREPARED, MOST_SHOWN)
            waiters = await sql.fetch(WAITERS, LONGEST_STATEMENT, MOST_SHOWN)
        ours = tuple(_doubt(row, waiters) for row in prepared if row["ours"])
        strangers = tuple(_stranger(row, waiters) for row in prepared if not row["ours"])
        return Doubts(self._name, ours, strangers)

    async def resolve(self, asked: Resolution) -> Resolved:
        """Ends a transaction that is in doubt here, and keeps why. What somebody decides meanwhile,
        coordinator or peers, stands; the answer tells how it is then."""
        async with self._database.connection() as sql:
            name = read_gid(await sql.fetchval(GID, asked.transaction) or "")
            if name is None:
                return Resolved(self._name, False, "")
            decision = await sql.fetchval(DECIDE, asked.transaction, asked.outcome, asked.reason)
        protocol, round = name[0].partition(":")[0], name[1]
        request = Commit(round) if asked.outcome == "committed" else Abort(round)
        # Asked as well, for who has just rolled it back may not have put that on record yet.
        calls: list[Call[Any]] = [Call(asked.transaction, protocol, r) for r in (request, Inquire(round))]
        _, answer = await self._participant.handle(calls)
        state = cast(Acked, answer).state.value
        async with self._database.connection() as sql:
            await sql.execute(FOUND, decision, state)
        return Resolved(self._name, True, state)


def _doubt(row: asyncpg.Record, waiters: Sequence[asyncpg.Record]) -> Doubt:
    gid, prepared_s, _, precommitted, tables = row
    name = read_gid(gid)
    assert name, "the query tells what is ours"
    transaction, round = name[0].partition(":")[2], name[1]
    mine = _behind(gid, waiters)
    return Doubt(gid, transaction, round.epoch, round.number, prepared_s, precommitted, tuple(tables), mine)


def _stranger(row: asyncpg.Record, waiters: Sequence[asyncpg.Record]) -> Stranger:
    return Stranger(row["gid"], row["prepared_s"], tuple(row["tables"]), _behind(row["gid"], waiters))


def _behind(gid: str, waiters: Sequence[asyncpg.Record]) -> tuple[Waiter, ...]:
    return tuple(Waiter(w["pid"], w["waits_s"], w["statement"]) for w in waiters if w["gid"] == gid)


def _read(body: bytes) -> Resolution:
    try:
        asked = _resolutions.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Problem(422, "invalid-request", str(error)) from None
    if not is_uuid(asked.transaction):
        raise Problem(422, "invalid-request", "the transaction's id is no UUID in its usual form")
    if not 0 < len(asked.reason) <= LONGEST_REASON or set(asked.reason) & CONTROL:
        raise Problem(
            422,
            "invalid-request",
            f"a reason has 1 to {LONGEST_REASON} characters, none of them a control character",
        )
    return asked


def _answer(message: Doubts | Resolved) -> Response:
    return Response(_encode(message), media_type="application/json")
