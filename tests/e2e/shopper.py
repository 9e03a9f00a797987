"""What a customer does, in one call each."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any
from uuid import uuid4

import httpx

_numbers = count(1)
RUN = uuid4().hex[:6]
TRACED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def new_product(
    shop: httpx.AsyncClient, *, stock: int = 10, price: int = 500, currency: str = "EUR"
) -> str:
    sku = f"p-{RUN}-{next(_numbers)}"
    body = {"sku": sku, "name": "Thing", "price": price, "currency": currency, "stock": stock}
    response = await shop.post("/products", json=body)
    assert response.status_code == 201, response.text
    return sku


async def new_customer(shop: httpx.AsyncClient, *, balance: int = 10_000, currency: str = "EUR") -> str:
    customer = f"c-{RUN}-{next(_numbers)}"
    body = {"customer_id": customer, "currency": currency, "balance": balance}
    response = await shop.post("/customers", json=body)
    assert response.status_code == 201, response.text
    return customer


async def order(
    shop: httpx.AsyncClient,
    customer: str,
    items: dict[str, int],
    *,
    wait: int = 20,
    key: str = "",
    **more: Any,
) -> httpx.Response:
    headers = {"Idempotency-Key": key or f'"{uuid4()}"', "traceparent": TRACED}
    if wait:
        headers["Prefer"] = f"wait={wait}"
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in items.items()]
    return await shop.post("/orders", json={"customer_id": customer, "items": lines, **more}, headers=headers)


async def stock_of(shop: httpx.AsyncClient, sku: str) -> tuple[int, int, int]:
    product = (await shop.get(f"/products/{sku}")).json()
    return product["on_hand"], product["held"], product["sold"]


async def balance_of(shop: httpx.AsyncClient, customer: str) -> int:
    balance: int = (await shop.get(f"/customers/{customer}")).json()["balance"]
    return balance


async def pause(seconds: float) -> None:
    """Lets the shop go on for a while; what a test waits *for* is always a condition."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)


async def eventually(
    look: Callable[[], Awaitable[Any]], wanted: Any, within_s: float = 30.0, every_s: float = 0.1
) -> None:
    """Waits until `look` sees `wanted`, and fails with what it saw last."""
    deadline = time.monotonic() + within_s
    while (seen := await look()) != wanted:
        assert time.monotonic() < deadline, f"still {seen!r} after {within_s} s, wanted {wanted!r}"
        await pause(every_s)


async def status_of(shop: httpx.AsyncClient, order_id: str) -> str:
    status: str = (await shop.get(f"/orders/{order_id}")).json()["status"]
    return status
