"""Nasty texts in every place that the OpenAPI documents name: refused, or kept as they are. A field that is
added tomorrow is tried tomorrow."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import asyncpg
import httpx
import pytest

from infra.native import Stack
from infra.native.layout import SERVICES
from tests.e2e.documents import Operation, Where, operations
from tests.e2e.shopper import RUN, new_customer, new_product, order

FORGED = f"forged-{RUN}"
LINE = json.dumps({"event": FORGED, "level": "info"})

NASTY: dict[str, str] = {
    "SQL that ends a string": "x'; DROP TABLE orders; DROP TABLE accounts; DROP TABLE products; --",
    "SQL that is always true": "' OR '1'='1",
    "SQL that waits": "x'||pg_sleep(5)||'",
    "a SQL dollar quote": "$$; SELECT pg_sleep(5); $$",
    "a NUL": "a\x00b",
    "a log line": f"x\r\n{LINE}\r\n",
    "a log line after a bare LF": f"x\n{LINE}\n",
    "a header": "x\r\nSet-Cookie: a=b\r\n\r\n<html>",
    "all control characters": "".join(map(chr, range(1, 32))) + "\x7f",
    "control characters of eight bits": "\x80\x85\x9b31m",
    "a terminal's escape": "\x1b]0;title\x07\x1b[2J",
    "from right to left": "\u202egnp.exe\u2066\u2069",
    "no width": "a\u200b\u200d\u2060\ufeffb",
    "line separators": "a\u2028b\u2029c",
    "outside of the first plane": "\U0001f4a9" * 3,
    "no characters": "\ufdd0\uffff",
    "a letter of many marks": "a" + "\u0301" * 100,
    "C's formats": "%s%n%x%1000000d",
    "Python's formats": "{0.__class__.__mro__} {} %(secret)s ${PATH}",
    "a template": "{{7*7}} ${{7*7}} #{7*7} <%= 7*7 %>",
    "a lookup": "${jndi:ldap://127.0.0.1:1/a}",
    "HTML": "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;\"'",
    "a shell's": "; cat /etc/passwd | `id` $(id) && false",
    "a path": "../../../../etc/passwd",
    "a spreadsheet's": "=cmd|' /C calc'!A0",
    "JSON": '","admin":true,"x":"',
    "long": "a" * 5_000,
    "blanks": " \t ",
    "empty": "",
}

KEPT = ("orders", "order_lines", "accounts", "entries", "products", "transfers")
"""What nobody deletes; other tables have a janitor."""

MAKERS = ("POST /payment/customers", "POST /inventory/products", "POST /inventory/products/import")
"""Each of their requests is about something new; all others about what is there."""

_numbers = count(1)


@pytest.fixture
async def documented(shop: httpx.AsyncClient, stack: dict[str, Any]) -> dict[str, list[Operation]]:
    """From the services' own mouths, on the internal port: what customers see is a part of it."""
    sku, customer = await new_product(shop, stock=10**9), await new_customer(shop, balance=10**12)
    placed = (await order(shop, customer, {sku: 1})).json()["order_id"]
    ids = dict.fromkeys(("order_id", "transaction_id", "before"), placed)
    token = f"Bearer {stack['operator_token']}"
    known = {"sku": sku, "customer_id": customer, "Authorization": token, "prefer": "wait=1", **ids}
    found: dict[str, list[Operation]] = {}
    for service in SERVICES:
        told = (await shop.get(f"{stack['internal_url']}/{service}/openapi.json")).json()
        found[service] = list(operations(service, told, known))
    return found


def with_something_new(operation: Operation) -> Operation:
    new = operation
    for where in operation.texts():
        if where[-1] in ("sku", "customer_id") and operation.name in MAKERS:
            new = new.replaced(where, f"nasty-{RUN}-{next(_numbers)}")
        if where == ("header", "Idempotency-Key"):
            new = new.replaced(where, f'"{uuid4()}"')
    return new


async def send(client: httpx.AsyncClient, operation: Operation) -> httpx.Response:
    path = operation.path
    for name, value in operation.parts["path"].items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    return await client.request(
        operation.method,
        f"/{operation.service}{path}",
        params=operation.parts["query"],
        headers=[(name.encode(), str(value).encode()) for name, value in operation.parts["header"].items()],
        json=operation.body,
    )


async def given_back(client: httpx.AsyncClient, operation: Operation, response: httpx.Response) -> Any:
    """What was stored, as it is read: an import answers with numbers only."""
    if operation.name != "POST /inventory/products/import":
        return response.json()
    return (await client.get(f"/inventory/products/{operation.body['products'][0]['sku']}")).json()


def can_be_sent(where: Where, text: str) -> bool:
    """h11 writes no control characters into headers; tests/e2e/test_smuggling.py does, byte by byte."""
    if where[0] != "header":
        return True
    return text == text.strip() and not any(
        ord(character) < 32 or ord(character) == 127 for character in text
    )


def said(value: Any, name: str | int) -> Iterator[Any]:
    """Every member of this name, however deep."""
    if isinstance(value, dict):
        if name in value:
            yield value[name]
        value = list(value.values())
    if isinstance(value, list):
        for member in value:
            yield from said(member, name)


async def tables(stack: dict[str, Any], service: str) -> dict[str, int]:
    """Rows of each table."""
    sql = await asyncpg.connect(stack["databases"][service]["audit"])
    try:
        names = [row[0] for row in await sql.fetch("SELECT relname FROM pg_stat_user_tables")]
        return {name: await sql.fetchval(f'SELECT count(*) FROM "{name}"') for name in names}
    finally:
        await sql.close()


def forged(native: Stack) -> list[str]:
    """Lines of any log that nobody of ours has written."""
    return [
        f"{file.name}: {line[:200]}"
        for file in native.layout.logs.iterdir()
        for line in file.read_text(errors="replace").splitlines()
        if line.startswith((LINE, "Set-Cookie"))
    ]


async def test_the_documents_name_what_can_be_sent(
    inside: httpx.AsyncClient, documented: dict[str, list[Operation]]
) -> None:
    """And it is taken: what is refused below is refused for its nasty text."""
    for service in ("payment", "inventory", "order"):
        for operation in documented[service]:
            response = await send(inside, with_something_new(operation))
            assert response.is_success or operation.path.endswith("/cancel"), (operation, response.text)
    places = [where for operations in documented.values() for o in operations for where in o.texts()]
    assert len(places) > 60
    assert {("body", "items", 0, "sku"), ("path", "order_id"), ("header", "traceparent")} <= set(places)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_nasty_text_is_refused_or_kept_as_it_is(
    inside: httpx.AsyncClient,
    stack: dict[str, Any],
    native: Stack,
    documented: dict[str, list[Operation]],
    service: str,
) -> None:
    before, wrong = await tables(stack, service), []
    kept: Counter[str] = Counter()

    async def attempt(operation: Operation, where: Where, what: str, room: asyncio.Semaphore) -> None:
        sent = with_something_new(operation).replaced(where, NASTY[what])
        async with room:
            response = await send(inside, sent)
        found: list[Any] = []
        if response.is_success and where[0] == "body":
            found = list(said(await given_back(inside, sent, response), where[-1]))
            kept[operation.name] += len(found)
        if response.status_code >= 500 or "set-cookie" in response.headers or set(found) - {NASTY[what]}:
            wrong.append(f"{sent.name} {where} {what}: {response.status_code} {response.text[:200]}")

    for operation in documented[service]:
        room = asyncio.Semaphore(1 if operation.path.endswith("/import") else len(NASTY))
        for where in operation.texts():
            sendable = [what for what, text in NASTY.items() if can_be_sent(where, text)]
            await asyncio.gather(*(attempt(operation, where, what, room) for what in sendable))
    assert wrong == []
    assert (min(kept[name] for name in MAKERS[1:]) > 10) == (service == "inventory"), kept
    after = await tables(stack, service)
    assert set(after) == set(before)
    assert {name: after[name] for name in KEPT if name in before and after[name] < before[name]} == {}
    assert forged(native) == []


async def test_no_body_may_be_too_large_or_too_deep(
    inside: httpx.AsyncClient, documented: dict[str, list[Operation]]
) -> None:
    """Each service says so itself; what nginx lets pass on its internal port is 32 times as much."""
    asked = [operation for found in documented.values() for operation in found if operation.body is not None]
    assert len(asked) >= 8
    for operation in asked:
        large = {"x": "a" * (2 << 20)}
        response = await send(inside, replace(operation, body=large))
        assert response.status_code == (422 if operation.path.endswith("/import") else 413), operation.name
        for deep in ("[" * 100_000, '{"a":' * 100_000):
            path = f"/{operation.service}{operation.path.replace('{', '').replace('}', '')}"
            headers = {"Content-Type": "application/json", "Idempotency-Key": '"deep"'}
            response = await inside.request(operation.method, path, content=deep, headers=headers)
            assert response.status_code == 400, operation.name
