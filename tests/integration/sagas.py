"""Orchestrators over a real database that send nothing, and orders for them."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from aiokafka import ConsumerRecord
from msgspec.structs import replace

from orchestrator.coordinator import Coordinator
from orchestrator.driver import Driver
from orchestrator.participants import Participants
from orchestrator.shards import Shards
from services.contract import topics
from services.contract.commit import Protocol
from services.contract.messages import Line, StartOrder
from services.runtime.bus import Producer
from services.runtime.database import Database
from services.runtime.envelope import Outgoing, decode, encode, seal, shard_of
from services.runtime.ids import uuid7
from services.runtime.outbox import Outbox

MARK = "a test of owners"


def driver(name: str, database: Database, *, unended: Collection[str] = ()) -> Driver:
    """An orchestrator that is never asked to send what it says. `unended`: the orders that have not ended."""

    async def still(orders: Collection[UUID]) -> set[UUID]:
        return {order for order in orders if str(order) in unended}

    outbox, shards = Outbox(name, database, Producer("nowhere:1", topics.PARTITIONS)), Shards(database)
    nobody = Participants.at("http://nowhere", "")
    return Driver(name, outbox, shards, Coordinator(name, database, outbox, shards, nobody), 1.0, still)


def shard(order_id: str) -> int:
    return shard_of(order_id, topics.PARTITIONS)


def order_ids(number: int) -> list[str]:
    """As many new ids, all of one shard."""
    found = [uuid7()]
    while len(found) < number:
        if shard(order_id := uuid7()) == shard(found[0]):
            found.append(order_id)
    return found


def start(order_id: str, protocol: Literal["saga", Protocol] = "saga", age_s: float = 0.0) -> Any:
    message = StartOrder(MARK, 100, "EUR", (Line("nothing", 1, 100),), protocol=protocol)
    envelope = seal(message, id=f"{order_id}/order.start/1", source="test", subject=order_id)
    envelope = replace(envelope, time=datetime.now(UTC) - timedelta(seconds=age_s))
    value = encode(envelope)
    return ConsumerRecord(
        topics.SAGAS, shard(order_id), 0, 0, 0, order_id.encode(), value, None, 0, len(value), ()
    )


async def change(database: Database, order_id: str, assignments: str) -> None:
    async with database.connection() as sql:
        await sql.execute(f"UPDATE sagas SET {assignments} WHERE order_id = $1::uuid", order_id)


async def log_of(database: Database, order_id: str) -> list[str]:
    """The events that the saga's log tells of."""
    async with database.connection() as sql:
        log = await sql.fetchval("SELECT log FROM sagas WHERE order_id = $1::uuid", order_id)
    return [line["event"] for line in map(msgspec.json.decode, log.splitlines())]


async def said(database: Database, owner: str) -> list[str]:
    """The ids of all messages in the owner's outbox, in the order in which they were put there."""
    async with database.connection() as sql:
        rows = await sql.fetch("SELECT messages FROM outbox WHERE owner = $1 ORDER BY id", owner)
    decoded = [msgspec.msgpack.decode(row["messages"], type=list[Outgoing]) for row in rows]
    return [decode(message.value).id for messages in decoded for message in messages]
