"""What was dated by a clock that has been put back since, to a time to come, waits for no such time."""

import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from lab.audit.run import audit
from lab.databases import Databases
from services.contract import topics
from services.order import store
from services.runtime import janitor
from services.runtime.bus import Producer
from services.runtime.database import Database
from services.runtime.envelope import encode
from services.runtime.outbox import Outbox
from tests.e2e.shopper import eventually
from tests.integration import janitors
from tests.integration.damages import ORDER
from tests.integration.sagas import change, driver, log_of, order_ids, shard, start
from tests.integration.test_outbox import TOPIC, leave, left, say
from tests.integration.test_take_over import orchestrator, stored

COMES = "now() + interval '1 hour'"
HOUR_S = 3_600


async def test_a_timer_rings_and_the_deadline_counts_from_then(database: Database) -> None:
    [order_id] = order_ids(1)
    owner = driver("test-owner", database)
    await owner.own({shard(order_id)})
    await owner.handle([start(order_id)])
    await change(database, order_id, f"wake_at = {COMES}, started_at = {COMES}")
    await owner._ring({shard(order_id)})
    assert await log_of(database, order_id) == ["start", "timed-out"]
    async with database.connection() as sql:
        query = "SELECT started_at <= now(), wake_at < now() + interval '4 s' FROM sagas WHERE order_id = $1"
        assert tuple(await sql.fetchrow(query, order_id) or ()) == (True, True)


async def test_what_a_dead_process_left_is_adopted(database: Database) -> None:
    await leave(database, "test-ghost", ["of-a-time-to-come"], age_s=-HOUR_S)
    outbox = Outbox("test-heir", database, Producer("nowhere:1", topics.PARTITIONS))
    await outbox.adopt()
    assert await left(database, "test-ghost") == []


async def test_a_transaction_that_is_taken_over_is_no_older_than_that(database: Database) -> None:
    [order_id] = order_ids(1)
    mine = shard(order_id)
    async with orchestrator("test-old", database) as old, orchestrator("test-new", database) as new:
        await old.own({mine})
        await old.handle([start(order_id, "2pc")])
        id, _ = await stored(database, order_id)
        async with database.connection() as sql:
            await sql.execute(f"UPDATE transactions SET started_at = {COMES} WHERE transaction_id = $1", id)
        await new.own({mine})
        await new._coordinator._resume(mine, new._shards.epochs[mine])
        resumed = new._coordinator._under_way.get(id)
        assert resumed is not None and 0 <= resumed.row.age_s < 30


async def test_an_order_never_ends_before_it_was_made_and_the_audit_sees_it(databases: Databases) -> None:
    order = databases["order"]
    await order.execute(f"UPDATE orders SET status = 'PENDING', ended_at = NULL, created_at = {COMES}")
    await order.execute(store.CONFIRM, [ORDER])
    report = await audit(databases, 30.0, between_s=0.01)
    assert (report.orders, list(report.findings)) == (1, [])
    await order.execute(store.REQUEST_CANCEL, ORDER)
    await order.execute(store.CLOSE_CANCELLED, [ORDER])
    times = "SELECT created_at, ended_at, cancel_requested_at, cancelled_at FROM orders"
    [found] = await order.fetch(times)
    assert None not in found.values() and list(found) == sorted(found)


async def test_a_janitor_believes_a_lease_no_longer_than_it_lasts(
    database: Database, stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its holder has died, and Redis, whose clock was put back, keeps it."""
    rounds = []

    async def chore(_: object) -> bool:
        rounds.append(time.monotonic())
        return False

    monkeypatch.setattr(janitor, "EVERY_S", 0.05)
    monkeypatch.setattr(janitor, "LEASE_S", 0.5)
    async with Redis.from_url(stack["redis_url"]) as redis, janitors.at_work(stack, database, chore) as lease:
        await redis.set(lease, "somebody's")
        began, before = time.monotonic(), len(rounds)

        async def has_gone() -> bool:
            return len(rounds) > before + 2

        await eventually(has_gone, True)
        assert await redis.get(lease) == b"somebody's" and time.monotonic() - began > 0.9
        await redis.delete(lease)


async def test_kafka_takes_what_a_clock_that_is_ahead_has_stamped(stack: dict[str, Any]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack["kafka"])
    await producer.start()
    try:
        ahead_ms = int(1000 * (time.time() + 2 * HOUR_S))
        kept = await producer.send_and_wait(TOPIC, encode(say("ahead")), timestamp_ms=ahead_ms)
        assert kept.timestamp < ahead_ms - 1000 * HOUR_S, "it has a clock of its own"
    finally:
        await producer.stop()
