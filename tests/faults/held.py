"""An order whose participants have all voted yes, and whose coordinator is held before anybody hears more."""

import asyncio
from typing import NamedTuple

import httpx

from lab.faults import Faults, point
from tests.e2e.shopper import new_customer, new_product, order

BALANCE, PRICE, STOCK = 2000, 700, 5


class Held(NamedTuple):
    """A transaction, and the one order in it: a piece of a new product for a new customer."""

    id: str
    order_id: str
    sku: str
    customer: str


async def held(shop: httpx.AsyncClient, faults: Faults, protocol: str, at: str) -> Held:
    sku, customer = (
        await new_product(shop, stock=STOCK, price=PRICE),
        await new_customer(shop, balance=BALANCE),
    )
    faults.put("orchestrator", point("hold", at))
    order_id = (await order(shop, customer, {sku: 1}, wait=0, protocol=protocol)).json()["order_id"]
    return Held(await asyncio.to_thread(faults.await_held, at), order_id, sku, customer)
