"""The same order under every protocol: the same answers, the same goods, the same money.

Each participant commits by itself when it hears of the decision, so what a reader sees in one may be a
moment behind the other.
"""

from functools import partial
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.e2e.shopper import (
    balance_of,
    eventually,
    new_customer,
    new_product,
    order,
    status_of,
    stock_of,
)

COMMITTING = ["2pc", "2pc-group", "3pc"]

pytestmark = pytest.mark.parametrize("protocol", COMMITTING)


async def test_an_order_that_can_be_paid_and_shipped_is_confirmed(
    shop: httpx.AsyncClient, protocol: str
) -> None:
    sku, customer = await new_product(shop, stock=5, price=700), await new_customer(shop, balance=2000)
    response = await order(shop, customer, {sku: 2}, protocol=protocol)
    assert (response.status_code, response.json()["status"]) == (201, "CONFIRMED")
    await eventually(partial(balance_of, shop, customer), 600)
    await eventually(partial(stock_of, shop, sku), (3, 0, 2))
    stored = (await shop.get(f"/orders/{response.json()['order_id']}")).json()
    assert stored["protocol"] == protocol


async def test_a_card_without_funds_leaves_the_goods_where_they_are(
    shop: httpx.AsyncClient, protocol: str
) -> None:
    sku, customer = await new_product(shop, stock=5, price=700), await new_customer(shop, balance=699)
    response = await order(shop, customer, {sku: 1}, protocol=protocol)
    assert (response.status_code, response.json()["type"]) == (409, "/problems/insufficient-funds")
    await eventually(partial(stock_of, shop, sku), (5, 0, 0))
    await eventually(partial(balance_of, shop, customer), 699)


async def test_an_empty_shelf_leaves_the_money_where_it_is(shop: httpx.AsyncClient, protocol: str) -> None:
    sku, customer = await new_product(shop, stock=1), await new_customer(shop)
    response = await order(shop, customer, {sku: 2}, protocol=protocol)
    assert (response.status_code, response.json()["type"]) == (409, "/problems/out-of-stock")
    await eventually(partial(balance_of, shop, customer), 10_000)
    await eventually(partial(stock_of, shop, sku), (1, 0, 0))


async def test_cancelling_gives_the_money_and_the_goods_back_once(
    shop: httpx.AsyncClient, protocol: str
) -> None:
    sku, customer = await new_product(shop, stock=5, price=700), await new_customer(shop, balance=1000)
    order_id = (await order(shop, customer, {sku: 1}, protocol=protocol)).json()["order_id"]
    assert (await shop.post(f"/orders/{order_id}/cancel")).status_code == 202
    await eventually(partial(status_of, shop, order_id), "CANCELLED")
    assert (await shop.post(f"/orders/{order_id}/cancel")).status_code == 200
    await eventually(partial(balance_of, shop, customer), 1000)
    await eventually(partial(stock_of, shop, sku), (5, 0, 0))


async def test_the_trace_shows_votes_decisions_and_what_was_durable(
    shop: httpx.AsyncClient, protocol: str
) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    order_id = (await order(shop, customer, {sku: 1}, protocol=protocol)).json()["order_id"]

    async def entries() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await shop.get(f"/orders/{order_id}/trace")).json()["entries"]
        return found

    async def ended() -> bool:
        found = await entries()
        return bool(found) and found[-1]["what"] == "ended: committed"

    await eventually(ended, True)
    seen = [(entry["role"], entry["what"]) for entry in await entries()]
    assert seen.count(("orchestrator", "votes yes")) == 3
    decided = seen.index(("orchestrator", "durable: committing"))
    assert seen.index(("orchestrator", "votes yes")) < decided
    assert all(seen.index((who, "committed")) > decided for who in ("order", "inventory", "payment"))
    assert (("orchestrator", "durable: pre-committing") in seen) == (protocol == "3pc")
    own = [entry["clock"]["orchestrator"] for entry in await entries() if entry["role"] == "orchestrator"]
    assert all(later == earlier + 1 for earlier, later in pairwise(own))
