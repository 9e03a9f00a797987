"""Whatever comes in: a 4xx problem+json that says what to change, never a 500, and nothing stored."""

import asyncio
import gzip
import json
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

GOOD = '{"customer_id":"ann","items":[{"sku":"a","quantity":1}]}'


def with_items(items: str) -> str:
    return f'{{"customer_id":"ann","items":{items}}}'


BODIES: dict[str, tuple[int, str | bytes]] = {
    "empty": (400, ""),
    "not JSON": (400, "hello"),
    "cut off": (400, GOOD[:-2]),
    "two values": (400, GOOD + GOOD),
    "not UTF-8": (400, b'{"customer_id":"\xff"}'),
    "UTF-16": (400, GOOD.encode("utf-16")),
    "NaN": (400, with_items('[{"sku":"a","quantity":NaN}]')),
    "Infinity": (400, with_items('[{"sku":"a","quantity":Infinity}]')),
    "duplicate name": (400, '{"customer_id":"ann","customer_id":"bob","items":[{"sku":"a","quantity":1}]}'),
    "duplicate name inside": (400, with_items('[{"sku":"a","quantity":1,"quantity":2}]')),
    "lone surrogate": (400, with_items('[{"sku":"\\ud800","quantity":1}]')),
    "lone surrogate as a name": (400, '{"\\ud800":1}'),
    "5,000 digits": (400, with_items('[{"sku":"a","quantity":' + "9" * 5000 + "}]")),
    "100,000 deep": (400, "[" * 100_000),
    "101 members": (400, json.dumps({str(n): n for n in range(101)})),
    "2,001 values": (400, with_items(json.dumps([1] * 2001))),
    "null": (422, "null"),
    "a list": (422, "[]"),
    "a string": (422, '"order"'),
    "no items": (422, '{"customer_id":"ann"}'),
    "items empty": (422, with_items("[]")),
    "items null": (422, with_items("null")),
    "51 items": (422, with_items("[" + ",".join(f'{{"sku":"s{n}","quantity":1}}' for n in range(51)) + "]")),
    "the same product twice": (422, with_items('[{"sku":"a","quantity":1},{"sku":"a","quantity":1}]')),
    "quantity a string": (422, with_items('[{"sku":"a","quantity":"5"}]')),
    "quantity a float": (422, with_items('[{"sku":"a","quantity":5.0}]')),
    "quantity true": (422, with_items('[{"sku":"a","quantity":true}]')),
    "quantity 1e3": (422, with_items('[{"sku":"a","quantity":1e3}]')),
    "quantity 1e999": (400, with_items('[{"sku":"a","quantity":1e999}]')),
    "quantity 0": (422, with_items('[{"sku":"a","quantity":0}]')),
    "quantity -1": (422, with_items('[{"sku":"a","quantity":-1}]')),
    "quantity 1001": (422, with_items('[{"sku":"a","quantity":1001}]')),
    "quantity 2^63": (422, with_items('[{"sku":"a","quantity":9223372036854775808}]')),
    "sku empty": (422, with_items('[{"sku":"","quantity":1}]')),
    "sku of 65": (422, with_items('[{"sku":"' + "a" * 65 + '","quantity":1}]')),
    "sku with NUL": (422, with_items('[{"sku":"a\\u0000","quantity":1}]')),
    "sku with newline": (422, with_items('[{"sku":"a\\n","quantity":1}]')),
    "sku a number": (422, with_items('[{"sku":7,"quantity":1}]')),
    "sku with SQL": (422, with_items('[{"sku":"a\'; drop table orders; --","quantity":1}]')),
    "a price from the client": (422, with_items('[{"sku":"a","quantity":1,"price":1}]')),
    "an unknown member": (422, '{"customer_id":"ann","items":[{"sku":"a","quantity":1}],"admin":true}'),
    "customer empty": (422, '{"customer_id":"","items":[{"sku":"a","quantity":1}]}'),
    "customer a list": (422, '{"customer_id":["ann"],"items":[{"sku":"a","quantity":1}]}'),
    "an unknown protocol": (422, '{"customer_id":"ann","items":[{"sku":"a","quantity":1}],"protocol":"4pc"}'),
}

KEYS: dict[str, str | bytes | None] = {
    "missing": None,
    "empty": "",
    "empty quotes": '""',
    "256 characters": "k" * 256,
    "not ASCII": "schlüssel".encode(),
    "spaces unquoted": "a b",
    "quote unclosed": '"abc',
    "a tab": '"a\tb"',
}


async def stored(stack: dict[str, Any]) -> list[int]:
    """How many rows the order service has of everything that an order leaves behind."""
    connection = await asyncpg.connect(stack["databases"]["order"]["audit"])
    try:
        tables = ("orders", "order_lines", "idempotency")
        return [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables]
    finally:
        await connection.close()


def check(response: httpx.Response, status: int) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["type"].startswith("/problems/")
    assert len(problem["detail"]) > 10


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_no_order(shop: httpx.AsyncClient, stack: dict[str, Any], name: str) -> None:
    status, body = BODIES[name]
    before = await stored(stack)
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
    check(await shop.post("/orders", content=body, headers=headers), status)
    assert await stored(stack) == before


@pytest.mark.parametrize("name", KEYS)
async def test_a_key_that_is_no_key(shop: httpx.AsyncClient, stack: dict[str, Any], name: str) -> None:
    before = await stored(stack)
    headers: list[tuple[str, str | bytes]] = [("Content-Type", "application/json")]
    if (key := KEYS[name]) is not None:
        headers.append(("Idempotency-Key", key))
    check(await shop.post("/orders", content=GOOD, headers=headers), 400)  # type: ignore[arg-type]
    assert await stored(stack) == before


async def test_a_request_with_two_keys(shop: httpx.AsyncClient, stack: dict[str, Any]) -> None:
    before = await stored(stack)
    headers = [("Content-Type", "application/json"), ("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    for path, body in (("/orders", GOOD), ("/customers/nobody/deposit", '{"amount": 1}')):
        check(await shop.post(path, content=body, headers=headers), 400)
    assert await stored(stack) == before


async def test_a_body_in_a_wrapping(shop: httpx.AsyncClient, stack: dict[str, Any]) -> None:
    before = await stored(stack)
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
    for coding, body in (("gzip", gzip.compress(GOOD.encode())), ("gzip", GOOD.encode())):
        response = await shop.post("/orders", content=body, headers=headers | {"Content-Encoding": coding})
        check(response, 415)
        assert response.headers["accept-encoding"] == "identity"
    assert await stored(stack) == before


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("POST /orders HTTP/1.1", "Transfer-Encoding: nonsense", 501),
        ("GET /orders HTTP/3.0", "Accept: */*", 505),
        ("nonsense", "Accept: */*", 400),
    ],
)
async def test_a_request_that_nginx_itself_refuses(
    stack: dict[str, Any], request_line: str, headers: str, status: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", stack["ports"]["NGINX_PUBLIC_PORT"])
    writer.write(f"{request_line}\r\nHost: shop\r\n{headers}\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == status


async def test_a_body_of_another_type_or_size(shop: httpx.AsyncClient, stack: dict[str, Any]) -> None:
    before = await stored(stack)
    key = {"Idempotency-Key": str(uuid4())}
    check(await shop.post("/orders", content=GOOD, headers=key | {"Content-Type": "text/plain"}), 415)
    check(await shop.post("/orders", content=GOOD, headers=key), 415)
    huge = b'{"customer_id":"' + b"a" * (2 << 20) + b'"}'
    check(await shop.post("/orders", content=huge, headers=key | {"Content-Type": "application/json"}), 413)
    assert await stored(stack) == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/orders/not-a-uuid", 404),
        ("GET", f"/orders/{uuid4()}", 404),
        ("GET", f"/orders/{str(uuid4()).upper()}", 404),
        ("GET", f"/orders/{uuid4()}/trace", 404),
        ("POST", f"/orders/{uuid4()}/cancel", 404),
        ("POST", "/orders/", 404),
        ("GET", "/customers/", 404),
        ("GET", "/orders", 422),
        ("GET", "/orders?customer_id=ann&limit=0", 422),
        ("GET", "/orders?customer_id=ann&limit=abc", 422),
        ("GET", "/orders?customer_id=ann&before=x", 422),
        ("GET", "/orders?customer_id=%00", 422),
        ("GET", "/products/no-such-thing", 404),
        ("GET", "/products/%00", 400),
        ("GET", "/products/" + "a" * 300, 404),
        ("GET", "/products?limit=100000", 422),
        ("GET", "/customers/nobody", 404),
        ("GET", "/customers/%F0%9F%92%A9", 404),
        ("DELETE", "/orders", 405),
        ("GET", "/transactions", 404),
        ("GET", "/no-such-path", 404),
    ],
)
async def test_a_path_that_leads_nowhere(
    shop: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    check(await shop.request(method, path), status)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/products", {"sku": "x", "name": "", "price": 1, "currency": "EUR"}, 422),
        ("/products", {"sku": "x", "name": "X\x00", "price": 1, "currency": "EUR"}, 422),
        ("/products", {"sku": "x", "name": "X", "price": -1, "currency": "EUR"}, 422),
        ("/products", {"sku": "x", "name": "X", "price": 1.5, "currency": "EUR"}, 422),
        ("/products", {"sku": "x", "name": "X", "price": 10**13, "currency": "EUR"}, 422),
        ("/products", {"sku": "x", "name": "X", "price": 1, "currency": "euro"}, 422),
        ("/products/import", {"products": []}, 422),
        ("/customers", {"customer_id": "x:y", "currency": "EUR"}, 422),
        ("/customers", {"customer_id": "x", "currency": "EUR", "balance": -1}, 422),
        ("/customers/import", {"customers": [{"customer_id": "x", "currency": "EUR"}] * 2}, 422),
        ("/customers/nobody/deposit", {"amount": 0}, 422),
        ("/customers/nobody/deposit", {"amount": 1}, 400),
        ("/products/nothing/restock", {"quantity": 1}, 400),
    ],
)
async def test_a_catalogue_that_makes_no_sense(
    shop: httpx.AsyncClient, path: str, body: Any, status: int
) -> None:
    check(await shop.post(path, json=body), status)


async def test_the_operators_door_is_shut(inside: httpx.AsyncClient) -> None:
    open_door = await inside.get("/orchestrator/transactions")
    assert open_door.status_code == 200
    for token in ("", "Bearer wrong", "Basic wrong"):
        response = await inside.get("/orchestrator/transactions", headers={"Authorization": token})
        check(response, 401)
