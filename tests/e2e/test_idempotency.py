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
