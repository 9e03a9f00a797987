"""What the orchestrator forgets of transactions that have ended, and what it still knows for the others.

It is the first to forget. Its row is what makes a start that comes again no second start. Of an order that
has not ended it forgets nothing, so what it does not know then has not begun; a start of another one that is
too old to be known any more is set aside.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from uuid import UUID

import asyncpg
import httpx
import structlog

from orchestrator.arrivals import Arrival
from services.contract.retention import DELIVERABLE_S
from services.retention.chores import FIRST, Sweep
from services.retention.needed import Asking, Needed
from services.runtime.dead_letters import DeadLetter
from services.runtime.janitor import Chore

log = structlog.get_logger()

AGAIN_AFTER_S = 1.0
TOO_OLD = "too old to be started: whether it was is not known any more"

# What is on record of these, at a participant, is still needed.
KNOWN = """
    SELECT id FROM (
        (SELECT order_id AS id FROM sagas WHERE order_id >= $1::uuid ORDER BY order_id LIMIT $2)
        UNION
        (SELECT transaction_id FROM transactions WHERE transaction_id >= $1::uuid
         ORDER BY transaction_id LIMIT $2)
        UNION
        (SELECT order_id FROM transaction_orders WHERE order_id >= $1::uuid ORDER BY order_id LIMIT $2)) k
    ORDER BY id LIMIT $2
"""
BEGUN = """
    SELECT order_id::text, kind FROM sagas WHERE order_id = ANY($1::uuid[])
    UNION ALL
    SELECT order_id::text, CASE kind WHEN 'buy' THEN 'order' ELSE kind END FROM transaction_orders
    WHERE order_id = ANY($1::uuid[])
"""
# What was split stays on record until somebody has looked at it, and who that was nobody tells.
STAYS = """
    coalesce(jsonb_array_length(state::jsonb -> 'mixed'), 0) > 0 OR EXISTS (
        SELECT FROM transaction_orders o
        WHERE o.transaction_id = transactions.transaction_id AND o.order_id = ANY($ids))
"""
ORDERS_TOO = "DELETE FROM transaction_orders WHERE transaction_id IN (SELECT id FROM gone)"


class SweepEnded(Sweep):
    """Of all orders, those that have not ended are few, and a transaction's id says nothing about theirs."""

    async def ask(self, first: UUID) -> Needed:
        return await super().ask(FIRST)


def chores(peers: httpx.AsyncClient, token: str) -> list[Chore]:
    """Sagas and transactions that ended long ago, with their logs, unless their order has not ended."""
    unended = Asking(peers, "order", token)
    return [
        SweepEnded("sagas", {"order_id": FIRST, "kind": ""}, "ended_at", unended),
        SweepEnded("transactions", {"transaction_id": FIRST}, "ended_at", unended, STAYS, ORDERS_TOO),
    ]


Tell = Callable[[Collection[UUID]], Awaitable[set[UUID]]]
"""Which of these orders have not ended."""


class Unended:
    """Tells whose order has not ended. The order service knows; without an answer it is asked for ever."""

    def __init__(self, peers: httpx.AsyncClient, token: str) -> None:
        self._asking = Asking(peers, "order", token)

    async def __call__(self, orders: Collection[UUID]) -> set[UUID]:
        found: set[UUID] = set()
        left = sorted(orders)
        while left:
            try:
                needed = await self._asking.since(left[0])
            except (httpx.HTTPError, ValueError) as error:
                log.warning("nobody tells which orders have ended", error=repr(error))
                await asyncio.sleep(AGAIN_AFTER_S)
                continue
            found.update(set(left).intersection(needed.ids))
            left = [id for id in left if needed.up_to is not None and id > needed.up_to]
        return found


async def too_late(arrivals: Iterable[Arrival], unended: Tell) -> set[tuple[str, str]]:
    """The starts that look so old that what began with them may be forgotten, and whose orders have ended."""
    since = time.time() - DELIVERABLE_S
    starts = (arrival for arrival in arrivals if arrival.start)
    old = {one.key: UUID(one.key[0]) for one in starts if one.envelope.time.timestamp() < since}
    still = await unended(old.values()) if old else set()
    return {key for key, order in old.items() if order not in still}


async def letters(sql: asyncpg.Connection, starts: Sequence[Arrival]) -> list[DeadLetter]:
    """Of these starts, old ones of orders that have ended, those that are not known to have begun."""
    rows = await sql.fetch(BEGUN, [arrival.envelope.subject for arrival in starts])
    begun = {(row["order_id"], row["kind"]) for row in rows}
    return [DeadLetter(arrival.record, TOO_OLD) for arrival in starts if arrival.key not in begun]
