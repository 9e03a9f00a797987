"""An order's life as a customer sees it, through nginx."""

import asyncio
from functools import partial

import httpx

from tests.e2e.shopper import balance_of, eventually, new_customer, new_product, order, status_of, stock_of


async def test_an_order_that_can_be_paid_and_shipped_is_confirmed(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop, stock=5, price=700), await new_customer(shop, balance=2000)
    response = await order(shop, customer, {sku: 2})
    assert response.status_code == 201
    body = response.json()
    assert (body["status"], body["amount"], body["currency"]) == ("CONFIRMED", 1400, "EUR")
    assert response.headers["location"] == f"/orders/{body['order_id']}"
    assert await balance_of(shop, customer) == 600
    await eventually(partial(stock_of, shop, sku), (3, 0, 2))


async def test_without_prefer_the_receipt_comes_at_once_and_the_outcome_later(
    shop: httpx.AsyncClient,
) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    response = await order(shop, customer, {sku: 1}, wait=0)
    assert response.status_code == 202
    assert response.json() == {"order_id": response.json()["order_id"], "status": "PENDING"}
    await eventually(partial(status_of, shop, response.json()["order_id"]), "CONFIRMED")


async def test_a_card_without_funds_gives_the_held_stock_back(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop, stock=5, price=700), await new_customer(shop, balance=699)
    response = await order(shop, customer, {sku: 1})
    assert response.status_code == 409
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "/problems/insufficient-funds"
    assert await stock_of(shop, sku) == (5, 0, 0)
    assert await balance_of(shop, customer) == 699
    assert await status_of(shop, response.json()["order_id"]) == "REFUSED"


async def test_an_empty_shelf_gives_the_money_back(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop, stock=1), await new_customer(shop)
    response = await order(shop, customer, {sku: 2})
    assert (response.status_code, response.json()["type"]) == (409, "/problems/out-of-stock")
    assert await balance_of(shop, customer) == 10_000
    assert await stock_of(shop, sku) == (1, 0, 0)


async def test_an_order_gets_all_its_products_or_none(shop: httpx.AsyncClient) -> None:
    plenty, scarce = await new_product(shop, stock=10), await new_product(shop, stock=1)
    customer = await new_customer(shop)
    response = await order(shop, customer, {plenty: 1, scarce: 2})
    assert response.json()["type"] == "/problems/out-of-stock"
    assert await stock_of(shop, plenty) == (10, 0, 0)


async def test_what_the_shop_does_not_know_is_refused_by_name(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    nothing = await order(shop, customer, {"no-such-thing": 1})
    assert (nothing.status_code, nothing.json()["type"]) == (409, "/problems/unknown-sku")
    assert await status_of(shop, nothing.json()["order_id"]) == "REFUSED"
    nobody = await order(shop, "no-such-customer", {sku: 1})
    assert (nobody.status_code, nobody.json()["type"]) == (409, "/problems/unknown-customer")
    assert await stock_of(shop, sku) == (10, 0, 0)


async def test_currencies_do_not_mix(shop: httpx.AsyncClient) -> None:
    euros, dollars = await new_product(shop), await new_product(shop, currency="USD")
    customer = await new_customer(shop)
    for items in ({euros: 1, dollars: 1}, {dollars: 1}):
        response = await order(shop, customer, items)
        assert (response.status_code, response.json()["type"]) == (409, "/problems/currency-mismatch")
    assert await balance_of(shop, customer) == 10_000


async def test_a_hundred_buyers_share_ten_pieces_exactly(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop, stock=10, price=1), await new_customer(shop)
    answers = await asyncio.gather(*(order(shop, customer, {sku: 1}) for _ in range(100)))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 90
    assert await balance_of(shop, customer) == 9_990
    await eventually(partial(stock_of, shop, sku), (0, 0, 10))


async def test_cancelling_gives_the_money_and_the_goods_back_once(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop, stock=5, price=700), await new_customer(shop, balance=1000)
    order_id = (await order(shop, customer, {sku: 1})).json()["order_id"]
    await eventually(partial(stock_of, shop, sku), (4, 0, 1))
    first = await shop.post(f"/orders/{order_id}/cancel")
    assert first.status_code == 202
    await eventually(partial(status_of, shop, order_id), "CANCELLED")
    again = await shop.post(f"/orders/{order_id}/cancel")
    assert (again.status_code, again.json()["status"]) == (200, "CANCELLED")
    assert await balance_of(shop, customer) == 1000
    assert await stock_of(shop, sku) == (5, 0, 0)


async def test_a_refused_order_cannot_be_cancelled(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop, stock=0), await new_customer(shop)
    order_id = (await order(shop, customer, {sku: 1})).json()["order_id"]
    response = await shop.post(f"/orders/{order_id}/cancel")
    assert (response.status_code, response.json()["type"]) == (409, "/problems/not-cancellable")


async def test_a_customers_orders_are_listed_newest_first(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    placed = [(await order(shop, customer, {sku: 1})).json()["order_id"] for _ in range(3)]
    page = (await shop.get("/orders", params={"customer_id": customer, "limit": 2})).json()["orders"]
    assert [entry["order_id"] for entry in page] == [placed[2], placed[1]]
    rest = await shop.get("/orders", params={"customer_id": customer, "before": placed[1]})
    assert [entry["order_id"] for entry in rest.json()["orders"]] == [placed[0]]


async def test_the_trace_tells_an_orders_way_in_causal_order(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    order_id = (await order(shop, customer, {sku: 1})).json()["order_id"]

    async def ended() -> bool:
        entries = (await shop.get(f"/orders/{order_id}/trace")).json()["entries"]
        return bool(entries) and entries[-1]["what"] == "ended: completed"

    await eventually(ended, True)
    entries = (await shop.get(f"/orders/{order_id}/trace")).json()["entries"]
    sent = {entry["message_id"]: number for number, entry in enumerate(entries) if entry["kind"] == "sent"}
    received = [(number, entry) for number, entry in enumerate(entries) if entry["kind"] == "received"]
    assert {entry["role"] for entry in entries} == {"order", "orchestrator", "payment", "inventory"}
    assert len(received) == 9
    for number, entry in received:
        send = entries[sent[entry["message_id"]]]
        assert sent[entry["message_id"]] < number
        assert all(entry["clock"].get(role, 0) >= ticks for role, ticks in send["clock"].items())


async def test_deposits_and_restocks_are_made_once_per_key(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop, stock=1), await new_customer(shop, balance=0)
    for _ in range(3):
        paid = await shop.post(
            f"/customers/{customer}/deposit",
            json={"amount": 50},
            headers={"Idempotency-Key": f"d-{customer}"},
        )
        assert (paid.status_code, paid.json()["balance"]) == (200, 50)
        stocked = await shop.post(
            f"/products/{sku}/restock", json={"quantity": 4}, headers={"Idempotency-Key": f"r-{sku}"}
        )
        assert (stocked.status_code, stocked.json()["on_hand"]) == (200, 5)
    assert await balance_of(shop, customer) == 50
    assert await stock_of(shop, sku) == (5, 0, 0)


async def test_a_price_change_reaches_the_orders(shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop, price=500), await new_customer(shop)
    change = {"sku": sku, "name": "Thing", "price": 300, "currency": "EUR"}
    response = await shop.post("/products/import", json={"products": [change]})
    assert response.json() == {"created": 0, "updated": 1, "unchanged": 0}

    async def price() -> int:
        amount: int = (await order(shop, customer, {sku: 1})).json()["amount"]
        return amount

    await eventually(price, 300)


async def test_a_list_has_the_orders_of_exactly_one_customer(shop: httpx.AsyncClient) -> None:
    """Not those of one whose name only begins like it; nor is a place in one list a way into another."""
    sku, ann = await new_product(shop), f"{await new_customer(shop)}-ann"
    alike = [ann, f"{ann}-", f"{ann}0", ann.upper(), f"0{ann}"]
    for customer in alike:
        body = {"customer_id": customer, "currency": "EUR", "balance": 10_000}
        assert (await shop.post("/customers", json=body)).status_code == 201
    orders = {c: (await order(shop, c, {sku: 1})).json()["order_id"] for c in alike}
    for customer, order_id in orders.items():
        listed = (await shop.get("/orders", params={"customer_id": customer})).json()["orders"]
        assert [(o["customer_id"], o["order_id"]) for o in listed] == [(customer, order_id)]
    last = {"customer_id": ann, "before": orders[alike[-1]]}
    assert {o["customer_id"] for o in (await shop.get("/orders", params=last)).json()["orders"]} == {ann}
    for pattern in (f"{ann[:-1]}_", f"{ann}.", ann[:-1]):
        assert (await shop.get("/orders", params={"customer_id": pattern})).json() == {"orders": []}
    for pattern in (f"{ann}%", "*"):
        assert (await shop.get("/orders", params={"customer_id": pattern})).status_code == 422
