"""The same key, the same answer: in parallel, after a restart, after a flush."""

import asyncio
from functools import partial
from typing import Any

import httpx
from redis.asyncio import Redis

from infra.native import Stack
from tests.e2e.shopper import balance_of, eventually, new_customer, new_product, order, status_of, stock_of


async def test_fifty_at_once_are_one_order_and_fifty_equal_answers(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop, price=100), await new_customer(shop)
    answers = await asyncio.gather(*(order(shop, customer, {sku: 1}, key="fifty") for _ in range(50)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(201, answers[0].text)}
    assert await balance_of(shop, customer) == 9_900
    await eventually(partial(stock_of, shop, sku), (9, 0, 1))


async def test_fifty_receipts_are_equal_too(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    answers = await asyncio.gather(*(order(shop, customer, {sku: 1}, key="fifty", wait=0) for _ in range(50)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    await eventually(partial(status_of, shop, answers[0].json()["order_id"]), "CONFIRMED")
    assert (await order(shop, customer, {sku: 1}, key="fifty")).text == answers[0].text


async def test_quoted_or_bare_it_is_the_same_key(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    quoted = await order(shop, customer, {sku: 1}, key='"one-key"')
    assert (await order(shop, customer, {sku: 1}, key="one-key")).text == quoted.text


async def test_another_request_under_the_same_key_is_an_error(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    await order(shop, customer, {sku: 1}, key="used")
    other = await order(shop, customer, {sku: 2}, key="used")
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert await stock_of(shop, sku) in ((9, 1, 0), (9, 0, 1))


async def test_the_same_key_of_another_customer_is_another_key(shop: httpx.AsyncClient) -> None:
    sku = await new_product(shop)
    orders = [await order(shop, await new_customer(shop), {sku: 1}, key="mine") for _ in range(2)]
    assert orders[0].json()["order_id"] != orders[1].json()["order_id"]


async def test_two_customers_with_one_key_never_see_each_others_answers(shop: httpx.AsyncClient) -> None:
    """Nor each other's refusals; and each has exactly one order of its own."""
    sku = await new_product(shop, stock=100, price=100)
    customers = [await new_customer(shop), await new_customer(shop), await new_customer(shop, balance=1)]
    asked = customers * 8
    answers = await asyncio.gather(*(order(shop, customer, {sku: 1}, key="shared") for customer in asked))
    told = {
        customer: {a.text for c, a in zip(asked, answers, strict=True) if c == customer} for customer in asked
    }
    assert [len(texts) for texts in told.values()] == [1, 1, 1]
    assert len({text for texts in told.values() for text in texts}) == 3
    assert [answer.status_code for answer in answers[:3]] == [201, 201, 409]
    for customer, answer in zip(customers, answers, strict=False):
        listed = (await shop.get("/orders", params={"customer_id": customer})).json()["orders"]
        assert [(o["order_id"], o["customer_id"]) for o in listed] == [(answer.json()["order_id"], customer)]


async def test_one_key_for_an_order_a_deposit_and_a_delivery_is_three_keys(shop: httpx.AsyncClient) -> None:
    """Even where a product is called like a customer."""
    customer = await new_customer(shop)
    product = {"sku": customer, "name": "Namesake", "price": 100, "currency": "EUR", "stock": 1}
    assert (await shop.post("/products", json=product)).status_code == 201
    key = {"Idempotency-Key": "one-for-all"}
    placed = await order(shop, customer, {customer: 1}, key="one-for-all")
    paid_in = await shop.post(f"/customers/{customer}/deposit", json={"amount": 1}, headers=key)
    received = await shop.post(f"/products/{customer}/restock", json={"quantity": 1}, headers=key)
    assert [answer.status_code for answer in (placed, paid_in, received)] == [201, 200, 200]
    assert (await balance_of(shop, customer), paid_in.json()["balance"]) == (9_901, 9_901)


async def test_one_key_at_two_customers_and_two_products_is_used_at_each(shop: httpx.AsyncClient) -> None:
    customers, skus = [await new_customer(shop) for _ in "ab"], [await new_product(shop) for _ in "ab"]
    key = {"Idempotency-Key": "for-both"}
    for _ in "twice":
        for customer in customers:
            await shop.post(f"/customers/{customer}/deposit", json={"amount": 5}, headers=key)
        for sku in skus:
            await shop.post(f"/products/{sku}/restock", json={"quantity": 5}, headers=key)
    assert [await balance_of(shop, customer) for customer in customers] == [10_005, 10_005]
    assert [await stock_of(shop, sku) for sku in skus] == [(15, 0, 0), (15, 0, 0)]


async def test_a_refusal_is_replayed_even_when_it_would_succeed_now(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop, stock=0), await new_customer(shop)
    refused = await order(shop, customer, {sku: 1}, key="refused")
    restock = await shop.post(
        f"/products/{sku}/restock", json={"quantity": 5}, headers={"Idempotency-Key": sku}
    )
    assert restock.status_code == 200
    again = await order(shop, customer, {sku: 1}, key="refused")
    assert (again.status_code, again.text) == (409, refused.text)


async def test_answers_survive_a_flush_and_the_death_of_every_order_process(
    shop: httpx.AsyncClient, native: Stack, stack: dict[str, Any]
) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    first = await order(shop, customer, {sku: 1}, key="survivor")
    async with Redis.from_url(stack["redis_url"]) as redis:
        await redis.flushall()
    assert (await order(shop, customer, {sku: 1}, key="survivor")).text == first.text
    for part in ("order-1", "order-2"):
        native.supervisor.signal(part, "KILL")

    async def answered() -> tuple[int, str]:
        answer = await order(shop, customer, {sku: 1}, key="survivor")
        return answer.status_code, answer.text

    await eventually(answered, (201, first.text))
