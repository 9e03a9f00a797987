"""Orders of the past, as `tradeoff past` writes them, could have been."""

import asyncio

import httpx

from lab import past
from lab.audit.reading import CHUNK, pictures
from lab.audit.run import Report, audit_stack
from lab.databases import connected
from lab.seed import seed
from lab.state import SERVICES
from lab.state import Stack as Told
from lab.workload import CUSTOMERS, PRODUCTS
from tests.e2e.shopper import pause

COUNT = past.CHUNK + 10

OURS = """
    select order_id from orders
    where created_at = (select created_at from orders group by created_at having count(*) = $1)
"""


async def test_the_audit_finds_nothing_wrong_with_them_and_the_shop_knows_them(
    told: Told, shop: httpx.AsyncClient
) -> None:
    await asyncio.to_thread(seed, told, PRODUCTS, CUSTOMERS, 10**6, 10**9, 100)
    before = await audit_stack(told, 30.0)
    await past.write(told, COUNT)
    after = await audit_stack(told, 30.0)
    assert after.orders >= before.orders + COUNT
    async with connected(told, ["order"]) as databases:
        ours = {str(order_id) for (order_id,) in await databases["order"].fetch(OURS, COUNT)}
    assert len(ours) == COUNT
    assert about(after, ours) == about(before, ours)
    answer = await shop.get(f"/orders/{min(ours)}")
    assert answer.json()["status"] == "CONFIRMED"
    assert (await shop.get(f"/orders/{min(ours)}/trace")).json()["entries"] == []


async def test_an_audit_outlasts_a_database_that_is_slower_than_the_others(told: Told) -> None:
    """The others' sessions are idle meanwhile, with a transaction open. Postgres ends such ones soon."""
    await asyncio.to_thread(seed, told, PRODUCTS, CUSTOMERS, 10**6, 10**9, 100)
    await past.write(told, 3 * CHUNK)
    seen = 0
    async with connected(told, SERVICES) as databases:
        for sql in databases.values():
            await sql.execute("set idle_in_transaction_session_timeout = '200ms'")
        async for batch in pictures(databases):
            if not seen:
                await pause(1.0)
            seen += len(batch)
    assert seen >= 3 * CHUNK


def about(report: Report, orders: set[str]) -> list[str]:
    """What it has found about these, or the seeded goods and customers. Other tests leave other things."""
    names = ("sku-", "customer-")
    return [one.words for one in report.findings if one.subject in orders or one.subject.startswith(names)]
