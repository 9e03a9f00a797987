"""Customers who cannot pay, who want what is not there, and who change their minds, all the time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import httpx

from lab.state import Stack, Trouble

EVERY_S = 0.2


@asynccontextmanager
async def troublemakers(stack: Stack, protocol: str) -> AsyncIterator[None]:
    """So that the steps of refusals and cancellations are come to, too."""
    async with httpx.AsyncClient(base_url=stack.public_url, timeout=40, trust_env=False) as shop:
        some, none = [await _product(shop, stock) for stock in (10_000, 1)]
        rich, poor = [await _customer(shop, balance) for balance in (10**8, 1)]

        async def order_and_cancel() -> None:
            while True:
                for who, sku, quantity in ((poor, some, 1), (rich, none, 2), (rich, some, 1)):
                    with suppress(httpx.TransportError):
                        order = {
                            "customer_id": who,
                            "items": [{"sku": sku, "quantity": quantity}],
                            "protocol": protocol,
                        }
                        headers = {"Idempotency-Key": f'"{uuid4()}"', "Prefer": "wait=10"}
                        answer = await shop.post("/orders", json=order, headers=headers)
                        if answer.status_code == 201:
                            order_id = answer.json()["order_id"]
                            await shop.post(f"/orders/{order_id}/cancel")
                            # An odd number: where nobody else asks, each of two replicas gets a cancellation.
                            await shop.get(f"/orders/{order_id}")
                await asyncio.sleep(EVERY_S)

        making = asyncio.create_task(order_and_cancel())
        try:
            yield
        finally:
            making.cancel()
            with suppress(asyncio.CancelledError):
                await making


async def _product(shop: httpx.AsyncClient, stock: int) -> str:
    sku = f"trouble-{uuid4().hex[:12]}"
    product = {"sku": sku, "name": "Trouble", "price": 500, "currency": "EUR", "stock": stock}
    _made(await shop.post("/products", json=product))
    return sku


async def _customer(shop: httpx.AsyncClient, balance: int) -> str:
    customer = f"trouble-{uuid4().hex[:12]}"
    _made(
        await shop.post("/customers", json={"customer_id": customer, "currency": "EUR", "balance": balance})
    )
    return customer


def _made(answer: httpx.Response) -> None:
    if answer.status_code != 201:
        raise Trouble(f"The shop is not well before anything is broken: {answer.status_code} {answer.text}")
