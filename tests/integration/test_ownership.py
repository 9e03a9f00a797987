"""Who may write: the last owner only. And nothing that was committed stays unsent."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from aiokafka import ConsumerRecord

from infra.native import Stack
from orchestrator.driver import Driver, fence_of
from services.contract import topics
from services.contract.messages import Line, ProductChanged, StartOrder
from services.runtime import fencing
from services.runtime.bus import Producer
from services.runtime.database import Database
from services.runtime.envelope import Outgoing, encode, seal, shard_of
from services.runtime.ids import uuid7
from services.runtime.outbox import Outbox
from tests.e2e.shopper import eventually

ORCHESTRATORS = ("orchestrator-1", "orchestrator-2")


@pytest.fixture
async def database(native: Stack, stack: dict[str, Any]) -> AsyncIterator[Database]:
    """The orchestrator's, while no orchestrator runs."""
    native.supervisor.stop(*ORCHESTRATORS)
    database = Database(stack["databases"]["orchestrator"]["owner"])
    yield database
    async with database.connection() as sql:
        await sql.execute("DELETE FROM sagas WHERE payload LIKE '%a test of owners%'::bytea")
        await sql.execute("DELETE FROM outbox WHERE owner LIKE 'test-%'")
    await database.close()
    for name in ORCHESTRATORS:
        native.supervisor.start(name)
    native.wait_ready(*ORCHESTRATORS)


def driver(name: str, database: Database) -> Driver:
    """An orchestrator that is never asked to send what it says."""
    return Driver(name, database, Outbox(name, database, Producer("nowhere:1", topics.PARTITIONS)), 1.0)


def start(order_id: str) -> Any:
    message = StartOrder("a test of owners", 100, "EUR", (Line("nothing", 1, 100),))
    envelope = seal(message, id=f"{order_id}/order.start/1", source="test", subject=order_id)
    partition = shard_of(order_id, topics.PARTITIONS)
    value = encode(envelope)
    return ConsumerRecord(topics.SAGAS, partition, 0, 0, 0, order_id.encode(), value, None, 0, len(value), ())


async def written(database: Database, order_id: str, owner: str) -> tuple[int, int]:
    """How many sagas of the order there are, and how many outbox rows of the owner."""
    async with database.connection() as sql:
        sagas = await sql.fetchval("SELECT count(*) FROM sagas WHERE order_id = $1::uuid", order_id)
        return sagas, await sql.fetchval("SELECT count(*) FROM outbox WHERE owner = $1", owner)


async def test_an_orchestrator_that_was_overtaken_can_write_nothing(database: Database) -> None:
    order_id = str(uuid7())
    shard = {shard_of(order_id, topics.PARTITIONS)}
    slow, quick = driver("test-slow", database), driver("test-quick", database)
    await slow.own(shard)
    await quick.own(shard)
    with pytest.raises(fencing.StaleHolder, match=fence_of(*shard)):
        await slow.handle([start(order_id)])
    assert await written(database, order_id, "test-slow") == (0, 0)
    await quick.handle([start(order_id)])
    assert await written(database, order_id, "test-quick") == (1, 1)


async def test_a_message_that_comes_twice_starts_one_saga(database: Database) -> None:
    order_id = str(uuid7())
    owner = driver("test-owner", database)
    await owner.own({shard_of(order_id, topics.PARTITIONS)})
    await owner.handle([start(order_id), start(order_id)])
    await owner.handle([start(order_id)])
    assert await written(database, order_id, "test-owner") == (1, 1)


async def test_a_new_owner_asks_again_what_the_old_one_had_asked(database: Database) -> None:
    order_id = str(uuid7())
    shard = shard_of(order_id, topics.PARTITIONS)
    old, new = driver("test-old", database), driver("test-new", database)
    await old.own({shard})
    await old.handle([start(order_id)])
    await new.own({shard})
    assert await new._resume(shard, new._epochs[shard]) >= 1
    async with database.connection() as sql:
        log = await sql.fetchval("SELECT log FROM sagas WHERE order_id = $1::uuid", order_id)
    assert [line["event"] for line in map(msgspec.json.decode, log.splitlines())] == ["start", "recovered"]
    assert await written(database, order_id, "test-new") == (1, 1)


async def test_a_successor_cannot_draw_its_number_before_the_holder_has_committed(database: Database) -> None:
    name = f"test:{uuid4()}"
    async with database.transaction() as sql:
        number = await fencing.issue(sql, name)
    async with database.connection() as successor:
        async with database.transaction() as holder:
            await fencing.check(holder, {name: number})
            await successor.execute("SET lock_timeout = '200ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await fencing.issue(successor, name)
        assert await fencing.issue(successor, name) == number + 1
        await successor.execute("RESET lock_timeout")
    async with database.transaction() as sql:
        with pytest.raises(fencing.StaleHolder):
            await fencing.check(sql, {name: number})


async def test_what_a_dead_process_left_in_its_outbox_is_sent(stack: dict[str, Any]) -> None:
    sku = f"left-behind-{uuid4().hex[:8]}"
    event = seal(ProductChanged(sku, "Left", 1, "EUR", 1), id=f"{sku}/1", source="ghost-1", subject=sku)
    row = msgspec.msgpack.encode([Outgoing(topics.CATALOGUE_EVENTS, sku, encode(event))])
    inventory = await asyncpg.connect(stack["databases"]["inventory"]["owner"])
    order = await asyncpg.connect(stack["databases"]["order"]["audit"])
    try:
        await inventory.execute("INSERT INTO outbox (owner, messages) VALUES ('ghost-1', $1)", row)

        async def name() -> str | None:
            found: str | None = await order.fetchval("SELECT name FROM catalogue WHERE sku = $1", sku)
            return found

        await eventually(name, "Left", within_s=20)
        left = partial(inventory.fetchval, "SELECT count(*) FROM outbox WHERE owner = 'ghost-1'")
        await eventually(left, 0)
    finally:
        await inventory.close()
        await order.close()
