"""One look at three databases that know no common instant, by a login that can only read.

It is taken in three steps:

1. a snapshot of each database, one after the other, each time in another order;
2. then, what is prepared in each: `pg_prepared_xacts` tells what is so now, whatever the snapshot;
3. then, in new snapshots, again those orders that were seen in one database and not in another.

With that, a reader can do what a read-only transaction needs to see all or nothing of each other one
(Garcia-Molina and Wiederhold, *Read-Only Transactions in a Distributed Database*, TODS 7(2), 1982),
without taking a lock. Let a commit be visible in the snapshot of B and not in that of A. Then it had
been prepared in A before the snapshot of B, for nobody commits before all have prepared. So in step 2
either it is still prepared in A, and the reader knows that it is in doubt; or it has committed in A in
between, and step 3 sees it there: it ran at the same time as the read. In both cases the reader leaves
it out, as if it had come a moment later. Nothing else can look torn. A saga leaves no such trace.

This is atomic visibility, and no more. A reader that must also see what a visible order was based on
has to lock (`LOCK TABLE … IN SHARE MODE` in all three waits for what is prepared, and stops the shop).
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple
from uuid import UUID

from lab.databases import Connection, Databases
from orchestrator.core.participant import read_gid
from services.contract.commit import PARTICIPANTS

SNAPSHOT = "begin isolation level repeatable read read only; select txid_current_snapshot()"
PREPARED = "select gid from pg_prepared_xacts where database = current_database()"
ORDERS = "select order_id from transaction_orders where transaction_id = any($1::uuid[])"

# What an order did in each database: null if nothing, else whether it has been undone.
EFFECTS = {
    "order": """
        select order_id, case when status in ('CONFIRMED', 'CANCELLING') then false
                              when status = 'CANCELLED' then true end
        from orders where {which}""",
    "inventory": """
        select order_id, bool_and(state in ('released', 'restocked'))
        from holds where {which} group by order_id""",
    "payment": """
        select order_id, bool_or(kind = 'refund')
        from (select transfer_id as order_id, kind from transfers where kind in ('charge', 'refund')) t
        where {which} group by order_id""",
}
SINCE, SOME = "order_id >= $1::uuid", "order_id = any($1::uuid[])"

# Each of these numbers is zero at every instant, in doubt or not.
SUMS = {
    "payment": """
        select (select coalesce(sum(balance), 0) from accounts)
               - coalesce(sum(amount) filter (where account_id not like '%:%'), 0), coalesce(sum(amount), 0)
        from entries""",
    "inventory": """
        select coalesce(sum(on_hand + held + sold - received), 0),
               coalesce(sum(held), 0) - (select coalesce(sum(quantity), 0) from holds where state = 'held'),
               coalesce(sum(sold), 0) - (select coalesce(sum(quantity), 0) from holds where state = 'shipped')
        from stock""",
}


class Effect(Enum):
    NONE = "none"
    THERE = "there"
    UNDONE = "undone"


class Sight(NamedTuple):
    """What is seen of one order: is it confirmed, are its goods taken, is it paid?"""

    order: Effect = Effect.NONE
    inventory: Effect = Effect.NONE
    payment: Effect = Effect.NONE

    @property
    def torn(self) -> bool:
        return Effect.THERE in self and Effect.NONE in self


@dataclass(frozen=True, slots=True)
class Cut:
    """`later`: what was torn, as it was in step 3. `off`: databases whose sums are not what they must be."""

    sights: Mapping[UUID, Sight]
    in_doubt: frozenset[UUID]
    later: Mapping[UUID, Sight]
    off: tuple[str, ...]
    seconds: float


async def look(databases: Databases, since: UUID, first: int = 0) -> Cut:
    """Of all orders with ids from `since` on. `first`: with whom to begin."""
    began = time.perf_counter()
    three = {name: databases[name] for name in PARTICIPANTS}
    for turn in range(len(PARTICIPANTS)):
        await three[PARTICIPANTS[(first + turn) % len(PARTICIPANTS)]].execute(SNAPSHOT)
    try:
        prepared = await asyncio.gather(*(sql.fetch(PREPARED) for sql in three.values()))
        sights = await _sights(three, SINCE, since)
        sums = await asyncio.gather(*(three[name].fetchrow(query) for name, query in SUMS.items()))
    finally:
        for sql in three.values():
            if not sql.is_closed():
                await sql.execute("rollback")
    gids = [gid for rows in prepared for (gid,) in rows]
    in_doubt = await _orders_of(databases["orchestrator"], gids)
    torn = [id for id, sight in sights.items() if sight.torn]
    later = await _sights(three, SOME, torn) if torn else {}
    off = tuple(name for name, row in zip(SUMS, sums, strict=True) if any(row or ()))
    return Cut(sights, in_doubt, later, off, time.perf_counter() - began)


async def _sights(three: Databases, which: str, ids: UUID | Sequence[UUID]) -> dict[UUID, Sight]:
    queries = (three[name].fetch(EFFECTS[name].format(which=which), ids) for name in PARTICIPANTS)
    found: dict[UUID, Sight] = {}
    for name, rows in zip(PARTICIPANTS, await asyncio.gather(*queries), strict=True):
        for order_id, undone in rows:
            effect = Effect.NONE if undone is None else Effect.UNDONE if undone else Effect.THERE
            found[order_id] = found.get(order_id, Sight())._replace(**{name: effect})
    return found


async def _orders_of(coordinator: Connection, gids: Sequence[str]) -> frozenset[UUID]:
    """The orders of prepared transactions; the coordinators wrote them down before they asked for votes."""
    names = [name[0].partition(":")[2] for gid in gids if (name := read_gid(gid))]
    return frozenset(id for (id,) in await coordinator.fetch(ORDERS, names)) if names else frozenset()
