"""Orders of the past, as `tradeoff past` writes them, could have been."""

import asyncio

import httpx

from lab import past
from lab.audit.run import audit_stack
from lab.databases import connected
from lab.seed import seed
from lab.state import Stack as Told
from lab.workload import CUSTOMERS, PRODUCTS

COUNT = past.CHUNK + 10


async def test_the_audit_finds_nothing_wrong_with_them_and_the_shop_knows_them(
    told: Told, shop: httpx.AsyncClient
) -> None:
    await asyncio.to_thread(seed, told, PRODUCTS, CUSTOMERS, 10**6, 10**9, 100)
    before = await audit_stack(told, 30.0)
    await past.write(told, COUNT)
    after = await audit_stack(told, 30.0)
    assert after.findings == before.findings == []
    assert after.orders == before.orders + COUNT
    async with connected(told, ["order"]) as databases:
        oldest = await databases["order"].fetchval("select order_id from orders order by created_at limit 1")
    answer = await shop.get(f"/orders/{oldest}")
    assert answer.json()["status"] == "CONFIRMED"
    assert (await shop.get(f"/orders/{oldest}/trace")).json()["entries"] == []
