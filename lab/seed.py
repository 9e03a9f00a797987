"""Fills the shop with numbered products and customers; running it again adds nothing and changes nothing.

Rank n is always `sku-00000n` at the same price, so a benchmark, a demo and a person at the keyboard
speak of the same goods without having to tell one another.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.databases import connected
from lab.screen import progress
from lab.shop import Door, Shop
from lab.state import Stack, Trouble

CURRENCY = "EUR"
CHUNK = 5_000  # rows a request: under half a megabyte, far below any body limit
CATALOGUE_WAIT_S = 60.0


def sku(number: int) -> str:
    return f"sku-{number:06d}"


def customer(number: int) -> str:
    return f"customer-{number:06d}"


def price_of(number: int) -> int:
    """Between 1.00 and 99.99, different for neighbours, the same at every run."""
    return 100 + number * 3_701 % 9_900


@dataclass(slots=True)
class Seeded:
    products_created: int = 0
    products_existing: int = 0
    customers_created: int = 0
    customers_existing: int = 0


def seed(stack: Stack, products: int, customers: int, stock: int, balance: int, price: int | None) -> Seeded:
    goods: list[dict[str, Any]] = [
        {
            "sku": sku(n),
            "name": f"Product {n}",
            "price": price_of(n) if price is None else price,
            "currency": CURRENCY,
            "stock": stock,
        }
        for n in range(1, products + 1)
    ]
    people: list[dict[str, Any]] = [
        {"customer_id": customer(n), "currency": CURRENCY, "balance": balance}
        for n in range(1, customers + 1)
    ]
    with Shop(stack, timeout_s=120) as shop:
        result = Seeded()
        result.products_created, result.products_existing = import_rows(shop, "products", goods)
        result.customers_created, result.customers_existing = import_rows(shop, "customers", people)
    asyncio.run(catalogue_has(stack, [row["sku"] for row in goods]))
    return result


def import_rows(shop: Door, kind: str, rows: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Sends rows in chunks; returns how many were created and how many were there already."""
    created = 0
    if not rows:
        return 0, 0
    with progress(f"importing {kind}", len(rows)) as advance:
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            while (answer := shop.call("POST", f"/{kind}/import", {kind: chunk})).code == 429:
                time.sleep(1.0)  # somebody else imports
            shop.must(answer)
            created += int(answer.body["created"])
            advance(start + len(chunk))
    return created, len(rows) - created


async def catalogue_has(stack: Stack, skus: Sequence[str]) -> None:
    """Returns once the order service's copy of the catalogue, fed by events, knows all these products."""
    deadline = time.monotonic() + CATALOGUE_WAIT_S
    async with connected(stack, ["order"]) as databases:
        while True:
            query = "select count(*) from catalogue where sku = any($1)"
            missing = len(skus) - int(await databases["order"].fetchval(query, list(skus)))
            if not missing:
                return
            if time.monotonic() > deadline:
                raise Trouble(
                    f"{missing} products have not reached the order service's catalogue: see make logs"
                )
            await asyncio.sleep(0.1)
