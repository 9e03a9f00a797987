"""Nobody waits longer than was said: not for a process that ends, nor for a database that hangs."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from infra.native import Stack
from infra.native.supervisor import until
from services.order.crowd import Crowd
from services.runtime.database import Database
from services.runtime.problems import Problem
from tests.e2e.shopper import eventually, new_customer, new_product, order, status_of

pytestmark = pytest.mark.timeout(300)

SOON_S = 10.0
"""Three seconds of patience, as often as a request may meet it, and a busy machine."""


@contextmanager
def paused(native: Stack, *parts: str) -> Iterator[None]:
    """And all processes that they have started."""
    pids = [pid for part in parts for pid in family(native.supervisor.pid(part))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *map(int, children)]


def are_gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def known(shop: httpx.AsyncClient) -> tuple[str, str]:
    """A product that the order service knows without asking, and a customer who can buy a thousand of it."""
    sku, customer = await new_product(shop, stock=1000, price=1), await new_customer(shop)
    assert (await order(shop, customer, {sku: 1}, wait=30)).status_code == 201
    return sku, customer


async def waiting(stack: dict[str, Any], customer: str) -> int:
    """How many of a customer's orders somebody waits for."""
    sql = await asyncpg.connect(stack["databases"]["order"]["audit"])
    try:
        return int(
            await sql.fetchval(
                "SELECT count(*) FROM orders o JOIN idempotency i ON i.id = o.request_id"
                " WHERE o.customer_id = $1 AND i.status IS NULL",
                customer,
            )
        )
    finally:
        await sql.close()


async def test_processes_that_are_told_to_end_answer_their_waiting_customers(
    native: Stack, stack: dict[str, Any], shop: httpx.AsyncClient
) -> None:
    sku, customer = await known(shop)
    with paused(native, "inventory-1", "inventory-2"):
        orders = [asyncio.create_task(order(shop, customer, {sku: 1}, wait=30)) for _ in range(20)]
        await eventually(lambda: waiting(stack, customer), 20)
        began = time.monotonic()
        ended = [native.supervisor.pid(process) for process in ("order-1", "order-2")]
        for process in ("order-1", "order-2"):
            native.supervisor.signal(process, "TERM")
        answers = await asyncio.gather(*orders)
        assert [answer.status_code for answer in answers] == [202] * 20
        assert time.monotonic() - began < SOON_S
        for answer in answers:
            assert answer.headers["location"] == f"/orders/{answer.json()['order_id']}"
    # Ready is also who is still about to end.
    assert await asyncio.to_thread(until, partial(are_gone, ended), SOON_S)
    await asyncio.to_thread(native.wait_ready)
    for answer in answers:
        await eventually(partial(status_of, shop, answer.json()["order_id"]), "CONFIRMED")


async def test_the_patience_of_many_ends_at_once(
    native: Stack, stack: dict[str, Any], shop: httpx.AsyncClient
) -> None:
    sku, customer = await known(shop)
    async with httpx.AsyncClient(base_url=stack["public_url"], timeout=40, limits=httpx.Limits()) as crowd:
        with paused(native, "inventory-1", "inventory-2"):
            began = time.monotonic()
            orders = [order(crowd, customer, {sku: 1}, wait=3) for _ in range(300)]
            answers = await asyncio.gather(*orders)
        assert [answer.status_code for answer in answers] == [202] * 300
        assert time.monotonic() - began < 3 + SOON_S


@asynccontextmanager
async def locked(stack: dict[str, Any], service: str, table: str) -> AsyncIterator[None]:
    sql = await asyncpg.connect(stack["databases"][service]["owner"])
    try:
        async with sql.transaction():
            await sql.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await sql.close()


async def turned_away(response: httpx.Response, began: float) -> None:
    assert response.status_code == 503, response.text
    assert response.headers["retry-after"]
    assert response.json()["type"] == "/problems/temporarily-unavailable"
    assert time.monotonic() - began < SOON_S


async def test_a_locked_table_is_a_503_and_not_a_long_silence(
    stack: dict[str, Any], shop: httpx.AsyncClient
) -> None:
    sku, customer, key = await new_product(shop), await new_customer(shop), f'"{uuid4()}"'
    async with locked(stack, "order", "orders"):
        began = time.monotonic()
        await turned_away(await order(shop, customer, {sku: 1}, key=key), began)
        began = time.monotonic()
        await turned_away(await shop.get("/orders", params={"customer_id": customer}), began)
    assert (await order(shop, customer, {sku: 1}, key=key)).status_code == 201
    async with locked(stack, "payment", "accounts"):
        began = time.monotonic()
        deposit = {"Idempotency-Key": key}
        path = f"/customers/{customer}/deposit"
        await turned_away(await shop.post(path, json={"amount": 1}, headers=deposit), began)
    assert (await shop.post(path, json={"amount": 1}, headers=deposit)).status_code == 200


async def test_a_database_that_hangs_is_a_503_and_not_a_long_silence(
    native: Stack, shop: httpx.AsyncClient
) -> None:
    sku, customer, key = await new_product(shop), await new_customer(shop), f'"{uuid4()}"'
    with paused(native, "pg-order"):
        for _ in range(2):
            began = time.monotonic()
            await turned_away(await order(shop, customer, {sku: 1}, key=key), began)
    await asyncio.to_thread(native.wait_ready)
    assert (await order(shop, customer, {sku: 1}, key=key)).status_code == 201


async def test_imports_take_turns_and_hold_up_nobody(stack: dict[str, Any], shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop, stock=100), await new_customer(shop)
    run = uuid4().hex[:8]

    async def one(number: int) -> list[int]:
        rows = [
            {"customer_id": f"i-{run}-{number}-{n}", "currency": "EUR", "balance": 1} for n in range(30_000)
        ]
        codes = []
        while 200 not in codes:
            response = await shop.post("/customers/import", json={"customers": rows}, timeout=120)
            codes.append(response.status_code)
            assert response.status_code == 200 or response.headers["retry-after"], response.text
        assert response.json() == {"created": 30_000, "existing": 0}
        return codes

    imports = [asyncio.create_task(one(number)) for number in range(4)]
    while not all(done.done() for done in imports):
        headers = {"Idempotency-Key": str(uuid4())}
        paid = await shop.post(f"/customers/{customer}/deposit", json={"amount": 500}, headers=headers)
        assert paid.status_code == 200, paid.text
        bought = await order(shop, customer, {sku: 1}, wait=30)
        assert bought.status_code == 201, bought.text
    assert {200, 429} == {code for done in imports for code in done.result()}


async def test_a_shop_with_too_much_to_finish_takes_nothing_more(
    native: Stack, stack: dict[str, Any], shop: httpx.AsyncClient
) -> None:
    sku, customer = await known(shop)
    database = Database(stack["databases"]["order"]["audit"])
    crowd = Crowd(database, {"saga": 5, "3pc": 2})

    async def is_full() -> bool:
        await crowd.look()
        try:
            crowd.admit()
        except Problem as problem:
            assert (problem.status, problem.headers) == (429, {"Retry-After": "2"})
            return True
        return False

    try:
        await eventually(is_full, False)
        with paused(native, "inventory-1", "inventory-2"):
            for protocol in ("saga", "saga", "saga", "3pc"):
                assert not await is_full()
                placed = await order(shop, customer, {sku: 1}, wait=0, protocol=protocol)
                assert placed.status_code == 202
            assert await is_full(), "three fifths and a half"
        await eventually(is_full, False)
    finally:
        await database.close()
