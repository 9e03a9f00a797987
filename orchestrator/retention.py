"""What the orchestrator forgets of transactions that have ended, and what it still knows for the others.

It is the first to forget. Its row is what makes a start that comes again no second start; so a start that is
too old for that is set aside.
"""

import time
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import httpx

from orchestrator.arrivals import Arrival
from services.contract.retention import DELIVERABLE_S
from services.retention.chores import FIRST, Sweep
from services.retention.needed import Asking, Needed
from services.runtime.dead_letters import DeadLetter
from services.runtime.janitor import Chore

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
FORGET_ORDERS = "DELETE FROM transaction_orders WHERE transaction_id = ANY($1::uuid[])"


class SweepEnded(Sweep):
    """Of all orders, those that have not ended are few, and a transaction's id says nothing about theirs."""

    async def ask(self, first: UUID) -> Needed:
        return await super().ask(FIRST)


class SweepTransactions(SweepEnded):
    async def forgotten(self, sql: asyncpg.Connection, ids: list[UUID]) -> None:
        await sql.execute(FORGET_ORDERS, ids)


def chores(peers: httpx.AsyncClient, token: str) -> list[Chore]:
    """Sagas and transactions that ended long ago, with their logs, unless their order has not ended."""
    unended = Asking(peers, "order", token)
    return [
        SweepEnded("sagas", {"order_id": FIRST, "kind": ""}, "ended_at", unended),
        SweepTransactions("transactions", {"transaction_id": FIRST}, "ended_at", unended, STAYS),
    ]


def too_old(arrival: Arrival) -> bool:
    """To be a start: what began with it may have been forgotten."""
    sent = arrival.envelope.time.timestamp()
    return arrival.start is not None and sent < time.time() - DELIVERABLE_S


async def letters(sql: asyncpg.Connection, starts: Sequence[Arrival]) -> list[DeadLetter]:
    """Of these starts, which are too old, those that are not known to have begun something."""
    rows = await sql.fetch(BEGUN, [arrival.envelope.subject for arrival in starts])
    begun = {(row["order_id"], row["kind"]) for row in rows}
    return [DeadLetter(arrival.record, TOO_OLD) for arrival in starts if arrival.key not in begun]
