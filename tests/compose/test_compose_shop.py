"""The shop in containers, as a customer and an operator meet it."""

import asyncio
import json
from typing import get_args
from uuid import uuid4

import httpx
import pytest

from lab.shelf import RICH
from services.contract.commit import Protocol
from tests.compose.project import Project
from tests.e2e.shopper import eventually, order

pytestmark = pytest.mark.timeout(300)

PROTOCOLS = ("saga", *get_args(Protocol))
NOT_FOR_CUSTOMERS = (
    "/transactions",
    "/orchestrator/transactions",
    "/participant/batches",
    "/order/participant/batches",
    "/orders/participant/batches/x",
    "/inventory/participant/doubts",
    "/faults",
    "/metrics",
    "/order/metrics",
    "/docs/",
    "//participant/batches",
    "/orders/../participant/batches",
    "/orders/%2e%2e/participant/batches",
    "/openapi/../metrics",
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_order_is_confirmed_and_repeated_word_for_word(
    shop: httpx.AsyncClient, protocol: str
) -> None:
    key = f'"{uuid4()}"'
    first = await order(shop, RICH, {"teapot": 1}, key=key, protocol=protocol)
    assert first.status_code == 201, first.text
    again = await asyncio.gather(
        *(order(shop, RICH, {"teapot": 1}, key=key, protocol=protocol) for _ in range(10))
    )
    assert {(answer.status_code, answer.text) for answer in again} == {(201, first.text)}
    assert (await order(shop, RICH, {"teapot": 2}, key=key, protocol=protocol)).status_code == 422
    trace = await shop.get(f"/orders/{first.json()['order_id']}/trace")
    assert trace.status_code == 200 and trace.json()["entries"]


def test_the_command_orders_traces_and_audits(project: Project) -> None:
    told = json.loads(project.run("order", "--customer", RICH, "--item", "lamp=1", "--json"))
    assert told["order_id"] in project.run("trace", told["order_id"], "--json")
    refused = project.compose(
        "run",
        "--rm",
        "--no-deps",
        "-T",
        "tradeoff",
        "order",
        "--customer",
        "bob",
        "--item",
        "lamp=1",
        check=False,
    )
    assert "insufficient-funds" in refused
    assert json.loads(project.run("audit", "--json"))["violations"] == 0


@pytest.mark.parametrize("path", NOT_FOR_CUSTOMERS)
async def test_what_is_for_operators_and_participants_is_not_routed(project: Project, path: str) -> None:
    """The path as it stands, because a client would tidy it up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", project.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert b" 404 " in head.splitlines()[0] and b"application/problem+json" in head, (head, body)


async def test_the_way_in_says_where_everything_is(shop: httpx.AsyncClient) -> None:
    told = (await shop.get("/")).json()
    assert (await shop.get(told["orders"])).status_code == 200
    for path in told["docs"].values():
        assert (await shop.get(path)).json()["openapi"]


async def test_a_body_that_is_too_large_is_refused(shop: httpx.AsyncClient) -> None:
    answer = await shop.post(
        "/orders", content=b" " * (1 << 21), headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


async def test_more_replicas_get_their_share_without_a_restart(
    project: Project, shop: httpx.AsyncClient
) -> None:
    [nginx] = project.containers("nginx")
    started = project.inspect(nginx)["State"]["StartedAt"]
    project.up("--no-deps", "--no-build", "--no-recreate", "--scale", "order=4", "order")
    replicas = project.containers("order")
    assert len(replicas) == 4

    async def asked() -> int:
        """How many of them nginx has a connection to."""
        await asyncio.gather(*(shop.get("/orders", params={"customer_id": RICH}) for _ in range(40)))
        tables = [project.inside(replica, "cat", "/proc/net/tcp") for replica in replicas]
        return sum(any(_serves(line) for line in table.splitlines()[1:]) for table in tables)

    await eventually(asked, 4)
    assert project.inspect(nginx)["State"]["StartedAt"] == started
    project.up("--no-deps", "--no-build", "--no-recreate", "--scale", "order=2", "order")
    assert len(project.containers("order")) == 2
    key = f'"{uuid4()}"'

    async def ordered() -> int:
        """nginx may still try an address that is gone, and give up when it hears of that meanwhile: 502."""
        return (await order(shop, RICH, {"teapot": 1}, key=key)).status_code

    await eventually(ordered, 201, within_s=10)


def _serves(line: str) -> bool:
    """An established connection to port 8000."""
    fields = line.split()
    return fields[3] == "01" and int(fields[1].rpartition(":")[2], 16) == 8000


def test_another_up_changes_nothing(project: Project) -> None:
    before = set(project.containers())
    project.up("--no-build")
    assert set(project.containers()) == before
