"""A server is away for long, or lets nobody in."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from infra.native import Stack
from lab.state import Stack as Told
from tests.chaos.superuser import superuser
from tests.e2e.shopper import eventually, order, pause, status_of
from tests.e2e.witness import Witness, report

RATE = 100.0
AWAY_S, SHUT_S = (60.0, 20.0) if os.environ.get("STORMS_ALL") else (15.0, 6.0)
SHUT = ["order", "payment", "inventory", "orchestrator"] if os.environ.get("STORMS_ALL") else ["payment"]

ITS = {"order": "/orders", "payment": "/customers/customer-000001", "inventory": "/products/sku-000001"}
"""What cannot be told without its database."""

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("seeded")]


async def test_kafka_may_be_away_for_long(
    native: Stack, told: Told, shop: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """The orders of that time wait in the outbox."""
    witness = Witness(told, RATE, seconds=AWAY_S + 10)
    await pause(3.0)
    await asyncio.to_thread(native.supervisor.stop, "kafka")
    try:
        await pause(AWAY_S)
        taken = await order(shop, "customer-000001", {"sku-000001": 1}, wait=0)
    finally:
        native.supervisor.start("kafka")
    assert taken.status_code == 202
    await eventually(lambda: status_of(shop, taken.json()["order_id"]), "CONFIRMED")
    report(capsys, f"without Kafka for {AWAY_S:g} s", await witness.clean())


@pytest.mark.parametrize("service", SHUT)
@pytest.mark.parametrize("protocol", ["saga", "2pc"])
async def test_a_server_that_lets_nobody_in_loses_nothing(
    native: Stack,
    told: Told,
    shop: httpx.AsyncClient,
    capsys: pytest.CaptureFixture[str],
    service: str,
    protocol: str,
) -> None:
    """The pools are empty, and nothing can fill them."""
    witness = Witness(told, RATE, SHUT_S + 10, protocol)
    await pause(3.0)
    async with shut(native, told, service):
        if path := ITS.get(service):
            await eventually(lambda: answers(shop, path), 503)
        await pause(SHUT_S)
    if path:
        await eventually(lambda: answers(shop, path), 200)
    verdict = await witness.clean()
    report(capsys, f"{protocol}: the {service}'s Postgres let nobody in for {SHUT_S:g} s", verdict)


async def answers(shop: httpx.AsyncClient, path: str) -> int:
    return (await shop.get(path)).status_code


@asynccontextmanager
async def shut(native: Stack, told: Told, service: str) -> AsyncIterator[None]:
    """Nobody is connected to this service's server, and nobody can connect, but for the audit."""
    sql = await superuser(native, told, service)
    try:
        await sql.execute(f'ALTER ROLE "{service}" CONNECTION LIMIT 0')
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1"
        assert await sql.fetchval(ended, service) > 0
        yield
    finally:
        await sql.execute(f'ALTER ROLE "{service}" CONNECTION LIMIT -1')
        await sql.close()
