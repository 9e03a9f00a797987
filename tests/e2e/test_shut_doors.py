"""What is for operators and participants: nowhere on the public port, however the path is spelled; and on the
internal one only with the right token."""

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from services.contract.commit import DOUBTS_PATH, PATH, RESOLUTIONS_PATH
from tests.e2e.test_smuggling import said_to

ID = str(uuid4())
STRANGER = f"stranger-{ID[:8]}"
"""Has no orders."""

PARTICIPANT = (PATH, DOUBTS_PATH, RESOLUTIONS_PATH)
OPERATOR = (
    "/transactions",
    f"/transactions/{ID}",
    f"/transactions/{ID}/retry",
    f"/transactions/{ID}/resolve",
)
NOT_FOR_CUSTOMERS = (*OPERATOR, *PARTICIPANT, f"/journals/{ID}", "/metrics", "/faults", "/openapi.json")

SPELLINGS: dict[str, str] = {
    "as it is": "/{path}",
    "with the service's name": "/orchestrator/{path}",
    "with another service's name": "/order/{path}",
    "two slashes": "//{path}",
    "a dot": "/./{path}",
    "a slash behind": "/{path}/",
    "a parameter": "/{path};a=b",
    "a query": "/{path}?/orders",
    "a fragment": "/{path}#/orders",
    "escaped letters": "/{escaped}",
    "letters escaped twice": "/{twice}",
    "capitals": "/{upper}",
    "a space behind": "/{path}%20",
    "a NUL behind": "/{path}%00",
    "a NUL before": "/orders/%00/../../{path}",
    "up from orders": "/orders/../{path}",
    "up from nowhere": "/../../{path}",
    "escaped dots": "/orders/%2e%2e/{path}",
    "one escaped dot": "/orders/.%2e/{path}",
    "an escaped slash": "/orders/..%2f{path}",
    "escaped dots and slash": "/orders/%2e%2e%2f{path}",
    "dots escaped twice": "/orders/%252e%252e/{path}",
    "slash escaped twice": "/orders/..%252f{path}",
    "dots too long in UTF-8": "/orders/%c0%ae%c0%ae/{path}",
    "a slash too long in UTF-8": "/orders/..%c0%af{path}",
    "backslashes": "/orders\\..\\{path}",
    "escaped backslashes": "/orders/..%5c{path}",
    "dots with a parameter": "/orders/..;/{path}",
    "below orders": "/orders/{path}",
    "many slashes": "/orders//..//{path}",
    "up from a document": "/openapi/order.json/../../{path}",
    "up from readiness": "/readyz/../{path}",
    "up from an import": "/products/import/../../{path}",
    "another host in the line": "http://orchestrator/{path}",
    "no slash": "{path}",
}

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND", "get")
TRICKS = ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method")
PATH_HEADERS = ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path", "X-Forwarded-Uri", "X-Accel-Redirect")
HOSTS = (
    "orchestrator",
    "127.0.0.1:{internal}",
    "localhost",
    "shop@orchestrator",
    "orchestrator/transactions",
)


def spelled(spelling: str, path: str) -> str:
    bare = path.removeprefix("/")
    escaped = "".join(f"%{ord(c):02x}" if c.isalpha() else c for c in bare)
    return SPELLINGS[spelling].format(path=bare, escaped=escaped, twice=quote(escaped), upper=bare.upper())


def request(
    stack: dict[str, Any], target: str, *headers: str, method: str = "GET", host: str = "shop"
) -> bytes:
    """With every credential that there is: who has one gets no further."""
    token = stack["participant_token" if "participant" in target.lower() else "operator_token"]
    lines = (f"Host: {host}", f"Authorization: Bearer {token}", "Connection: close", *headers)
    return "\r\n".join((f"{method} {target} HTTP/1.1", *lines, "", "")).encode()


async def status_of(stack: dict[str, Any], sent: bytes) -> int:
    answer = await said_to(stack["ports"]["NGINX_PUBLIC_PORT"], sent)
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_no_spelling_leads_to_what_is_not_for_customers(stack: dict[str, Any], spelling: str) -> None:
    """A 401 would be an answer of somebody who should not have been asked."""
    answered = {p: await status_of(stack, request(stack, spelled(spelling, p))) for p in NOT_FOR_CUSTOMERS}
    assert {path: status for path, status in answered.items() if status not in (400, 404)} == {}


@pytest.mark.parametrize("method", METHODS)
async def test_no_method_does(stack: dict[str, Any], method: str) -> None:
    answered = {p: await status_of(stack, request(stack, p, method=method)) for p in NOT_FOR_CUSTOMERS}
    assert {path: status for path, status in answered.items() if status not in (400, 404, 405)} == {}


async def test_no_header_does(stack: dict[str, Any]) -> None:
    for path in NOT_FOR_CUSTOMERS:
        for name in PATH_HEADERS:
            assert await status_of(stack, request(stack, "/no-such-path", f"{name}: {path}")) == 404
            listed = request(stack, f"/orders?customer_id={STRANGER}", f"{name}: {path}")
            assert (await said_to(stack["ports"]["NGINX_PUBLIC_PORT"], listed)).endswith(b'{"orders":[]}')
        for host in HOSTS:
            named = host.format(internal=stack["ports"]["NGINX_INTERNAL_PORT"])
            assert await status_of(stack, request(stack, path, host=named)) in (400, 404)


async def test_no_header_makes_a_method_another(shop: httpx.AsyncClient) -> None:
    for name in TRICKS:
        for method in ("POST", "DELETE"):
            response = await shop.get(f"/orders?customer_id={STRANGER}", headers={name: method})
            assert (response.status_code, response.json()) == (200, {"orders": []})


@pytest.mark.parametrize("service", ["order", "payment", "inventory"])
async def test_who_takes_part_in_a_commit_asks_for_the_token(stack: dict[str, Any], service: str) -> None:
    """The operator's is not it; nor is what only begins like it, or looks like it."""
    token = stack["participant_token"]
    almost = (
        token[:-1],
        token + "x",
        token.upper(),
        f"{token}, Bearer {token}",
        "ü",
        stack["operator_token"],
    )
    wrong = ("", "Bearer", token, f"Basic {token}", *(f"Bearer {other}" for other in almost))
    given = [{}, *({"Authorization": value.encode()} for value in wrong)]
    async with httpx.AsyncClient(base_url=stack["internal_url"], trust_env=False) as stranger:
        for headers in given:
            for method, path in (("POST", PATH), ("GET", DOUBTS_PATH), ("POST", RESOLUTIONS_PATH)):
                url = f"/{service}{path}"
                response = await stranger.request(method, url, headers=headers)
                assert (response.status_code, response.json()["type"]) == (401, "/problems/participant-only")


async def test_with_the_token_the_door_opens(inside: httpx.AsyncClient, stack: dict[str, Any]) -> None:
    """So that the test above is about the token."""
    credential = {"Authorization": f"Bearer {stack['participant_token']}"}
    for service in ("order", "payment", "inventory"):
        asked = await inside.post(f"/{service}{PATH}", json={"requests": []}, headers=credential)
        assert asked.status_code == 200, asked.text
        assert (await inside.get(f"/{service}{DOUBTS_PATH}", headers=credential)).status_code == 200


@pytest.mark.parametrize("path", OPERATOR)
async def test_an_operators_route_asks_for_the_operators_token(
    inside: httpx.AsyncClient, stack: dict[str, Any], path: str
) -> None:
    method = "POST" if path.endswith(("retry", "resolve")) else "GET"
    body = {"outcome": "abort", "reason": "a test"} if path.endswith("resolve") else None
    url = f"/orchestrator{path}"
    for wrong in ("", f"Bearer {stack['participant_token']}", f"Basic {stack['operator_token']}"):
        response = await inside.request(method, url, json=body, headers={"Authorization": wrong})
        assert response.status_code == 401
    assert (await inside.request(method, url, json=body)).status_code != 401
