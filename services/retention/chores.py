"""Chores that forget old rows, a little at a time, at a cost that does not grow with the table.

None of them looks at more than `AT_ONCE` rows, or `PAGES_AT_ONCE` pages, and none needs an index that the
table does not have anyhow. Where a key is in order of time, the old rows are a range of it, which `Sweep`
walks through; where it is not, `PageByPage` walks through the table itself. Where they are is kept in memory:
another replica begins anew.
"""

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import structlog

from services.contract.retention import RECORDS_KEPT_S
from services.retention.needed import Asking, Needed
from services.runtime.idempotency import EXPIRES_AFTER_S
from services.runtime.janitor import Chore, Janitor
from services.runtime.plumbing import Plumbing

log = structlog.get_logger()

AT_ONCE = 500
"""Rows: a few milliseconds of work, so that nobody waits for it."""

PAGES_AT_ONCE = 25
"""Of a table's file: 200 KiB."""

FRESH_S = 2.0
"""For so long an answer about what is needed holds: of what is that old, nothing begins to be needed."""

REST_S = 60.0
"""When a chore has been through all of it, until it begins anew."""

ASK_AGAIN_S = 5.0
"""When it was not told what is needed."""

FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)

BY_INDEX = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"
"""Whatever the statistics say, which may be of a smaller table: neither all of it, nor all that is old."""


def first_of(at: float) -> UUID:
    """The lowest UUID version 7 of this time."""
    return UUID(int=int(at * 1000) << 80)


class Sweep:
    """Forgets rows of `table` that have been over, by the column `since`, for `RECORDS_KEPT_S`.

    `key` is the primary key with the lowest value of each column; the first column is a UUID version 7.
    `needed` is asked which ids must stay; `unless` is what else keeps a row, and may name those as $ids.
    `along` is a statement about what goes with the rows, whose ids it finds in `gone`.
    """

    def __init__(
        self,
        table: str,
        key: Mapping[str, Any],
        since: str,
        needed: Asking,
        unless: str = "false",
        along: str = "",
    ) -> None:
        id, names = next(iter(key)), ", ".join(key)
        low = ", ".join(f"${n}" for n in range(1, len(key) + 1))
        high = ", ".join(f"${n}" for n in range(len(key) + 1, 2 * len(key) + 1))
        old, ids = f"${2 * len(key) + 1}", f"${2 * len(key) + 2}::uuid[]"
        between = f"({names}) > ({low}) AND ({names}) <= ({high})"
        self._last = f"""
            SELECT {names} FROM (
                SELECT {names} FROM {table} WHERE {between} ORDER BY {names} LIMIT {old}) slice
            ORDER BY {", ".join(f"{name} DESC" for name in key)} LIMIT 1
        """
        self._forget = f"""
            DELETE FROM {table} WHERE {between} AND {since} < now() - make_interval(secs => {old})
                AND {id} <> ALL({ids}) AND NOT ({unless.replace("$ids", ids)})
        """
        if along:
            self._forget = f"WITH gone AS ({self._forget} RETURNING {id} AS id) {along}"
        self._lowest = tuple(key.values())
        self._at = self._lowest
        self._needed, self._answered_at = needed, 0.0
        self._answer: Needed | None = None
        self._rests_until = 0.0

    async def __call__(self, sql: asyncpg.Connection) -> bool:
        if time.monotonic() < self._rests_until:
            return False
        await sql.execute(BY_INDEX)
        horizon = (first_of(time.time() - RECORDS_KEPT_S), *self._lowest[1:])
        last = await sql.fetchrow(self._last, *self._at, *horizon, AT_ONCE)
        if last is None:
            return self._begin_anew()
        try:
            needed = await self._what_is_needed()
        except (httpx.HTTPError, ValueError) as error:
            log.warning("nothing is forgotten: it is not known what is needed", error=repr(error))
            self._rests_until = time.monotonic() + ASK_AGAIN_S
            return False
        end = tuple(last)
        if needed.up_to is not None and needed.up_to < end[0]:
            end = (needed.up_to, *self._lowest[1:])
        if end <= self._at:
            return self._begin_anew()
        await sql.execute(self._forget, *self._at, *end, RECORDS_KEPT_S, needed.ids)
        self._at = end
        return True

    async def _what_is_needed(self) -> Needed:
        """From where the sweep is."""
        now, answer = time.monotonic(), self._answer
        if answer is None or now > self._answered_at + FRESH_S or (answer.up_to or LAST) <= self._at[0]:
            answer = await self.ask(self._at[0])
            self._answer, self._answered_at = answer, now
        return answer

    async def ask(self, first: UUID) -> Needed:
        """What is needed of the ids from `first` on."""
        return await self._needed.since(first)

    def _begin_anew(self) -> bool:
        self._at, self._answer = self._lowest, None
        self._rests_until = time.monotonic() + REST_S
        return False


class PageByPage:
    """Forgets rows of `table` that are older than `older_than_s`, `unless` that is so, wherever they lie."""

    def __init__(self, table: str, older_than_s: int, unless: str = "false") -> None:
        self._table = table
        self._forget = f"""
            DELETE FROM {table} t WHERE ctid >= '({{}},0)' AND ctid < '({{}},0)'
                AND created_at < now() - interval '{older_than_s} s' AND NOT ({unless})
        """
        self._page = 0

    async def __call__(self, sql: asyncpg.Connection) -> bool:
        await sql.execute(BY_INDEX)
        end = self._page + PAGES_AT_ONCE
        gone = await sql.execute(self._forget.format(self._page, end))
        size = "SELECT pg_relation_size($1::regclass) / current_setting('block_size')::int"
        self._page = end if end < await sql.fetchval(size, self._table) else 0
        return self._page > 0 and gone != "DELETE 0"


def of_participant(peers: httpx.AsyncClient, token: str, keys_needed: str = "false") -> list[Chore]:
    """Keys of requests after a day, unless they are needed; and whatever is on record of orders that the
    orchestrator has forgotten."""
    known = Asking(peers, "orchestrator", token)
    transaction = {"transaction_id": FIRST}
    return [
        PageByPage("idempotency", EXPIRES_AFTER_S, keys_needed),
        Sweep("inbox", {"subject": FIRST, "step": ""}, "created_at", known),
        Sweep("branches", transaction, "created_at", known),
        Sweep("precommits", transaction, "created_at", known),
    ]


def janitor(
    name: str, parts: Plumbing, peers: httpx.AsyncClient, token: str, keys_needed: str = "false"
) -> Janitor:
    """A participant's, with these chores."""
    return Janitor(name, parts, of_participant(peers, token, keys_needed))
