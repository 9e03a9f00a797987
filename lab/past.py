"""Orders of the past, written into the databases as sagas would have left them.

For one question: does an order cost the same when the tables are large? The audit finds nothing wrong with
them; only their idempotency keys are missing, which are forgotten after a day anyway.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zlib import crc32

from lab.databases import Databases, connected
from lab.prepare import analyze
from lab.screen import progress
from lab.seed import CURRENCY, customer, price_of, sku
from lab.state import SERVICES, Stack
from lab.workload import CUSTOMERS, PRODUCTS
from services.contract.topics import PARTITIONS

AGO = timedelta(days=2)
CHUNK = 20_000

SETTINGS = "set synchronous_commit = off"

BOUGHT = "unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) as o (id, customer, sku, price)"

INBOX = f"""
    insert into inbox (subject, step, outcome, created_at)
    select id, step, 'done', $5::timestamptz from {BOUGHT}, unnest($6::text[]) as step
"""
ORDER = (
    f"""
    insert into orders (
        order_id, customer_id, protocol, status, amount, currency, request_id, created_at, ended_at)
    select id, customer, 'saga', 'CONFIRMED', price, '{CURRENCY}', id, $5, $5 from {BOUGHT}
    """,
    f"""
    insert into order_lines (order_id, sku, quantity, price)
    select id, sku, 1, price from {BOUGHT} where $5::timestamptz < now()
    """,
)
INVENTORY = (
    f"""
    update stock s set received = received + n, sold = sold + n
    from (select sku, count(*) as n from {BOUGHT} where $5::timestamptz < now() group by sku) o
    where s.sku = o.sku
    """,
    f"""
    insert into holds (order_id, sku, quantity, state, created_at)
    select id, sku, 1, 'shipped', $5 from {BOUGHT}
    """,
)
PAYMENT = (
    # What they spend they have been given before: balances stay as they are.
    f"""
    with given as materialized (
        select gen_random_uuid() as id, customer, sum(price)::bigint as amount
        from {BOUGHT} group by customer),
    deposits as (
        insert into transfers (transfer_id, kind, amount, created_at)
        select id, 'deposit', amount, $5 from given)
    insert into entries (transfer_id, kind, account_id, amount)
    select id, 'deposit', customer, amount from given
    union all select id, 'deposit', 'bank:{CURRENCY}', -amount from given
    """,
    f"""
    insert into transfers (transfer_id, kind, amount, created_at)
    select id, 'charge', price, $5 from {BOUGHT}
    """,
    f"""
    insert into entries (transfer_id, kind, account_id, amount)
    select id, 'charge', account, amount
    from {BOUGHT}, lateral (values (customer, -price), ('revenue:{CURRENCY}', price)) as e (account, amount)
    where $5::timestamptz < now()
    """,
)
SAGA = """
    insert into sagas (
        order_id, kind, shard, epoch, running, state, payload, traceparent, log, keep_log, wake_for,
        started_at, ended_at, outcome)
    select id, 'order', shard, 1, false, '{}', '', '', '', false, '', $3, $3, 'completed'
    from unnest($1::uuid[], $2::smallint[]) as o (id, shard)
"""
STEPS = {
    "order": ["order.confirm"],
    "inventory": ["order.hold", "order.ship"],
    "payment": ["order.charge"],
}
"""Whose outcomes the inboxes remember."""


async def write(stack: Stack, count: int) -> None:
    """So many more. The seeded goods and customers must be there. Raises Trouble."""
    then = datetime.now(UTC) - AGO
    async with connected(stack, SERVICES, "owner") as databases:
        for sql in databases.values():
            await sql.execute(SETTINGS)
        with progress("writing orders of the past", count) as advance:
            for first in range(0, count, CHUNK):
                await _write(databases, range(first, min(first + CHUNK, count)), then)
                advance(min(first + CHUNK, count))
    await analyze(stack)


async def _write(databases: Databases, numbers: range, then: datetime) -> None:
    """A chunk: in each database one after the other, in all of them at once."""
    zero = int(then.timestamp() * 1000)
    ids = [order_id(zero, n) for n in numbers]
    skus = [sku(n % PRODUCTS + 1) for n in numbers]
    people = [customer(n % CUSTOMERS + 1) for n in numbers]
    prices = [price_of(n % PRODUCTS + 1) for n in numbers]
    shards = [crc32(str(id).encode()) % PARTITIONS for id in ids]

    async def run(name: str, statements: tuple[str, ...]) -> None:
        async with databases[name].transaction():
            for statement in statements:
                await databases[name].execute(statement, ids, people, skus, prices, then)
            await databases[name].execute(INBOX, ids, people, skus, prices, then, STEPS[name])

    await asyncio.gather(
        run("order", ORDER),
        run("inventory", INVENTORY),
        run("payment", PAYMENT),
        databases["orchestrator"].execute(SAGA, ids, shards, then),
    )


def order_id(zero_ms: int, number: int) -> UUID:
    """A UUID of version 7, ten to a millisecond, so that they lie in their index as if they had come so."""
    when, place = divmod(number, 10)
    return UUID(int=((zero_ms + when) << 80) | (7 << 76) | (place << 64) | (2 << 62) | number)
