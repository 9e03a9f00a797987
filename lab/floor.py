"""The floor: the rows of the same orders in the same databases, with nothing that coordinates them.

One plain asyncpg program writes, fifty orders a statement, what order, payment and inventory write for an
order that a saga confirms: no HTTP, no Kafka, no orchestrator, no outbox, no locking order; the workers'
goods and customers are disjoint, so nobody waits for anybody. No protocol that keeps three databases in step
can be faster on these machines; how near one comes is what coordination costs. What two- and three-phase
commit write, in bare prepared transactions, is in `floor_commit.py`.

The tables are empty copies of the shop's, in a schema of their own that is dropped afterwards.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

import asyncpg

from lab.databases import Databases, connected
from lab.seed import CURRENCY, customer, price_of, sku
from lab.state import Stack, Trouble
from services.contract.commit import PARTICIPANTS

BATCH = 50
WORKERS = 8
"""A divisor of the numbers of goods and of customers, so that their shares are disjoint."""
PRODUCTS = 1_000
CUSTOMERS = 10_000
REVENUE = f"revenue:{CURRENCY}"
TABLES = {
    "order": ("orders", "order_lines", "idempotency", "inbox", "branches"),
    "payment": ("accounts", "transfers", "entries", "inbox", "branches"),
    "inventory": ("stock", "holds", "inbox", "branches"),
}

PLACE = """
with placed as (
    insert into orders (order_id, customer_id, protocol, status, amount, currency, request_id)
    select o, c, 'floor', 'PENDING', p, $6, r
    from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::uuid[]) as n (o, c, s, p, r)
), keyed as (
    insert into idempotency (id, fingerprint, subject, body)
    select r, decode('00112233445566778899aabbccddeeff', 'hex'), o, $7
    from unnest($1::uuid[], $5::uuid[]) as n (o, r)
)
insert into order_lines (order_id, sku, quantity, price)
select o, s, 1, p from unnest($1::uuid[], $3::text[], $4::bigint[]) as n (o, s, p)
"""
HOLD = """
with moved as (
    update stock set on_hand = on_hand - n, held = held + n
    from unnest($3::text[], $4::bigint[]) as m (s, n) where sku = s
), held as (
    insert into holds (order_id, sku, quantity, state)
    select o, s, 1, 'held' from unnest($1::uuid[], $2::text[]) as n (o, s)
)
insert into inbox (subject, step, outcome) select o, 'order.hold', 'done' from unnest($1::uuid[]) as n (o)
"""
CHARGE = """
with booked as (
    insert into transfers (transfer_id, kind, amount)
    select o, 'charge', p from unnest($1::uuid[], $3::bigint[]) as n (o, p)
), entered as (
    insert into entries (transfer_id, kind, account_id, amount)
    select o, 'charge', c, -p from unnest($1::uuid[], $2::text[], $3::bigint[]) as n (o, c, p)
    union all select o, 'charge', $6, p from unnest($1::uuid[], $3::bigint[]) as n (o, p)
), moved as (
    update accounts set balance = balance + d
    from unnest($4::text[], $5::bigint[]) as m (a, d) where account_id = a
)
insert into inbox (subject, step, outcome) select o, 'order.charge', 'done' from unnest($1::uuid[]) as n (o)
"""
SHIP = """
with moved as (
    update stock set held = held - n, sold = sold + n
    from unnest($2::text[], $3::bigint[]) as m (s, n) where sku = s
), shipped as (
    update holds set state = 'shipped' where order_id = any($1::uuid[])
)
insert into inbox (subject, step, outcome) select o, 'order.ship', 'done' from unnest($1::uuid[]) as n (o)
"""
CONFIRM = """
with confirmed as (
    update orders set status = 'CONFIRMED', ended_at = now() where order_id = any($1::uuid[])
), answered as (
    update idempotency set status = 201 where id = any($2::uuid[])
)
insert into inbox (subject, step, outcome) select o, 'order.confirm', 'done' from unnest($1::uuid[]) as n (o)
"""
GID = "floor"
"""The first word of the name of everything that the floor prepares."""

PREPARED = "select gid from pg_prepared_xacts where gid like $1 and database = current_database()"
ANSWER = (
    '{"order_id":"01234567-0123-7123-8123-0123456789ab","status":"CONFIRMED","amount":1234,"currency":"EUR"}'
)


@dataclass(frozen=True)
class Rows:
    """Orders, column by column."""

    ids: list[UUID]
    requests: list[UUID]
    skus: list[str]
    buyers: list[str]
    prices: list[int]

    @cached_property
    def moved(self) -> Counter[str]:
        return Counter(self.skus)

    @cached_property
    def spent(self) -> Counter[str]:
        spent = Counter[str]()
        for buyer, price in zip(self.buyers, self.prices, strict=True):
            spent[buyer] -= price
        return spent

    def part(self, first: int, end: int) -> "Rows":
        columns = (self.ids, self.requests, self.skus, self.buyers, self.prices)
        return Rows(*(column[first:end] for column in columns))  # type: ignore[arg-type]


Write = Callable[[Databases, Rows], Awaitable[None]]


async def run(stack: Stack, orders: int, watch: Callable[[int], None], write: Write) -> float:
    """Orders a second. Raises Trouble when the owners' logins cannot make their own tables."""
    async with connected(stack, PARTICIPANTS, "owner") as owners:
        try:
            await _create(owners)
            return await _measure(stack, orders, watch, write)
        except asyncpg.PostgresError as error:
            raise Trouble(f"The floor could not be measured: {error}") from None
        finally:
            await _drop(owners)


async def _drop(owners: Databases) -> None:
    """Also what an interrupted measurement has left prepared; nobody else's."""
    for connection in owners.values():
        for row in await connection.fetch(PREPARED, f"{GID}/%"):
            await connection.execute(f"rollback prepared '{row['gid']}'")
        await connection.execute("drop schema if exists floor cascade")


async def _create(owners: Databases) -> None:
    await _drop(owners)
    for name, connection in owners.items():
        await connection.execute("create schema floor")
        for table in TABLES[name]:
            settings = await connection.fetchval(
                "select array_to_string(reloptions, ', ') from pg_class where oid = $1::regclass",
                f"public.{table}",
            )
            like = f"create table floor.{table} (like public.{table} including all)"
            await connection.execute(like + (f" with ({settings})" if settings else ""))
    await owners["inventory"].executemany(
        "insert into floor.stock (sku, on_hand, received) values ($1, $2, $2)",
        [(sku(n), 10**9) for n in range(1, PRODUCTS + 1)],
    )
    await owners["payment"].executemany(
        "insert into floor.accounts (account_id, kind, currency, balance) values ($1, $2, $3, $4)",
        [(customer(n), "customer", CURRENCY, 10**12) for n in range(1, CUSTOMERS + 1)],
    )
    for connection in owners.values():
        await connection.execute("analyze")  # or the plans are those for empty tables


async def _measure(stack: Stack, orders: int, watch: Callable[[int], None], write: Write) -> float:
    batches = max(WORKERS, orders // BATCH)
    left = iter(range(batches))
    done = 0

    async def work(worker: int) -> None:
        nonlocal done
        async with connected(stack, PARTICIPANTS, "owner") as databases:
            for connection in databases.values():
                await connection.execute("set search_path to floor")
            for number in left:
                await write(databases, _rows(worker, number))
                done += BATCH
                watch(done)

    begun = time.perf_counter()
    await asyncio.gather(*(work(worker) for worker in range(WORKERS)))
    return batches * BATCH / (time.perf_counter() - begun)


def _rows(worker: int, number: int) -> Rows:
    ranks = [worker + WORKERS * (number * BATCH + n) for n in range(BATCH)]
    return Rows(
        [_uuid7() for _ in ranks],
        [UUID(bytes=os.urandom(16)) for _ in ranks],
        [sku(rank % PRODUCTS + 1) for rank in ranks],
        [customer(rank % CUSTOMERS + 1) for rank in ranks],
        [price_of(rank % PRODUCTS + 1) for rank in ranks],
    )


async def place(databases: Databases, rows: Rows) -> None:
    await databases["order"].execute(
        PLACE, rows.ids, rows.buyers, rows.skus, rows.prices, rows.requests, CURRENCY, ANSWER
    )


async def write_saga(databases: Databases, rows: Rows) -> None:
    ids, moved, spent = rows.ids, rows.moved, rows.spent
    order, inventory, payment = (databases[name] for name in PARTICIPANTS)
    await place(databases, rows)
    await asyncio.gather(
        inventory.execute(HOLD, ids, rows.skus, list(moved), list(moved.values())),
        payment.execute(CHARGE, ids, rows.buyers, rows.prices, list(spent), list(spent.values()), REVENUE),
    )
    await asyncio.gather(
        inventory.execute(SHIP, ids, list(moved), list(moved.values())),
        order.execute(CONFIRM, ids, rows.requests),
    )


def _uuid7() -> UUID:
    """As the shop's ids: sorted by time, so that new rows lie together."""
    random = int.from_bytes(os.urandom(10), "big")
    head = (time.time_ns() // 1_000_000) << 80 | 0x7 << 76 | 0b10 << 62
    return UUID(int=head | (random >> 68 & 0xFFF) << 64 | random & (1 << 62) - 1)
