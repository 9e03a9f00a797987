"""Everything dies in turn while orders come in, and no acknowledged order is lost.

Each test ends with the audit: the ten promises, looked at from outside by SQL. What reads all topics
anew comes first, while they are short.
"""

import asyncio
import os
from functools import partial
from typing import Any

import httpx
import pytest
from aiokafka.errors import KafkaError
from redis.asyncio import Redis

from infra.native import Stack
from lab.state import Stack as Told
from tests.e2e.replay import all_read, digests, forget_offsets, replay_everything
from tests.e2e.shopper import eventually, pause
from tests.e2e.witness import Witness, report

RATE = float(os.environ.get("FAULT_RATE", "300"))
PAUSE_S = float(os.environ.get("PAUSE_S", "12"))
EACH = ["order-1", "payment-1", "inventory-1", "orchestrator-1"]
PAUSED = EACH if os.environ.get("STORMS_ALL") else ["orchestrator-1"]

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("seeded")]


async def test_a_replay_of_every_topic_changes_no_table(
    stack: dict[str, Any], inside: httpx.AsyncClient, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = await Witness(told, RATE, seconds=5).clean()
    await eventually(partial(at_rest, inside), True)
    before = await digests(stack["databases"])
    copied = await replay_everything(stack["kafka"])
    assert copied > 5 * RATE, "there was something to replay"
    await eventually(partial(all_read, stack["kafka"]), True, within_s=60)
    assert await digests(stack["databases"]) == before
    report(capsys, f"replayed {copied} messages", verdict)


async def test_offsets_that_are_forgotten_change_no_table(
    native: Stack,
    stack: dict[str, Any],
    inside: httpx.AsyncClient,
    told: Told,
    capsys: pytest.CaptureFixture[str],
) -> None:
    verdict = await Witness(told, RATE, seconds=5).clean()
    await eventually(partial(at_rest, inside), True)
    before = await digests(stack["databases"])
    await asyncio.to_thread(native.supervisor.stop, *told.ports)
    try:
        await eventually(partial(forgotten, stack["kafka"]), True)
        assert not await all_read(stack["kafka"])
    finally:
        for process in told.ports:
            native.supervisor.start(process)
    await asyncio.to_thread(native.wait_ready)
    await eventually(partial(all_read, stack["kafka"]), True, within_s=120)
    assert await digests(stack["databases"]) == before
    report(capsys, "set all offsets to zero", verdict)


async def forgotten(kafka: str) -> bool:
    """Those who left are members until Kafka has missed them."""
    try:
        await forget_offsets(kafka)
    except KafkaError:
        return False
    return True


async def test_every_service_process_is_killed_in_turn(
    native: Stack, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    victims = [name for name in told.ports if name.endswith("-1")] + ["order-2", "orchestrator-2"]
    witness = Witness(told, RATE, seconds=4.0 * len(victims))
    for victim in victims:
        await pause(3.0)
        native.supervisor.signal(victim, "KILL")
    report(capsys, "killed " + ", ".join(victims), await witness.clean())


async def test_every_server_is_restarted_in_turn(
    native: Stack, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = ["pg-order", "pg-payment", "pg-inventory", "pg-orchestrator", "kafka", "redis", "nginx"]
    witness = Witness(told, RATE, seconds=8.0 * len(servers))
    for server in servers:
        await pause(5.0)
        native.supervisor.signal(server, "KILL")
        await asyncio.to_thread(native.wait_ready, server)
    report(capsys, "killed " + ", ".join(servers), await witness.clean())


@pytest.mark.parametrize("victim", PAUSED)
async def test_a_process_that_was_paused_and_wakes_up_harms_nothing(
    native: Stack, told: Told, capsys: pytest.CaptureFixture[str], victim: str
) -> None:
    witness = Witness(told, RATE, seconds=PAUSE_S + 10)
    await pause(3.0)
    native.supervisor.signal(victim, "STOP")
    try:
        await pause(PAUSE_S)
    finally:
        native.supervisor.signal(victim, "CONT")
    report(capsys, f"paused {victim} for {PAUSE_S:g} s", await witness.clean())


async def test_redis_may_forget_everything_and_stay_away(
    native: Stack, told: Told, stack: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    witness = Witness(told, RATE, seconds=20)
    async with Redis.from_url(stack["redis_url"]) as redis:
        for _ in range(5):
            await pause(1.0)
            await redis.flushall()
    native.supervisor.stop("redis")
    await pause(8.0)
    native.supervisor.start("redis")
    report(capsys, "flushed Redis five times, then stopped it for 8 s", await witness.clean())


async def test_a_replay_in_the_middle_of_the_load_harms_nothing(
    stack: dict[str, Any], told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    witness = Witness(told, RATE, seconds=20)
    await pause(3.0)
    copied = await replay_everything(stack["kafka"], most=3_000)
    report(capsys, f"replayed {copied} messages under load", await witness.clean())
    await eventually(partial(all_read, stack["kafka"]), True, within_s=60)


async def at_rest(inside: httpx.AsyncClient) -> bool:
    answer = await inside.get("/orchestrator/transactions", params={"state": "running"})
    return bool(answer.json() == {"transactions": []})
