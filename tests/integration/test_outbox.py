"""What is committed is sent: also what a dead process left behind, and beside what Kafka refuses."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any
from uuid import uuid4

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.contract import topics
from services.contract.messages import ProductChanged
from services.runtime.bus import Producer
from services.runtime.database import Database
from services.runtime.envelope import Envelope, Outgoing, decode, encode, seal
from services.runtime.outbox import ADOPT_AT_ONCE, Outbox
from tests.e2e.shopper import eventually
from tests.integration.loops import running

TOPIC = topics.DEAD_LETTERS
"""The one topic that no service reads."""

TOO_LARGE = 2 << 20


def say(subject: str, size: int = 1) -> Envelope:
    return seal(ProductChanged(subject, "x" * size, 1, "EUR", 1), id=subject, source="test", subject=subject)


@contextlib.asynccontextmanager
async def heard(stack: dict[str, Any]) -> AsyncIterator[Callable[[], Awaitable[set[str]]]]:
    """A look at the subjects of all that was said since."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stack["kafka"], enable_auto_commit=False)
    consumer.assign([TopicPartition(TOPIC, number) for number in range(topics.PARTITIONS)])
    await consumer.start()
    await consumer.seek_to_end()
    subjects: set[str] = set()

    async def look() -> set[str]:
        for records in (await consumer.getmany(timeout_ms=100)).values():
            subjects.update(decode(record.value).subject for record in records)
        return set(subjects)

    try:
        yield look
    finally:
        await consumer.stop()


async def left(database: Database, owner: str) -> list[str]:
    """The subjects of what the owner's outbox still holds."""
    async with database.connection() as sql:
        rows = await sql.fetch("SELECT messages FROM outbox WHERE owner = $1 ORDER BY id", owner)
    decoded = [msgspec.msgpack.decode(row["messages"], type=list[Outgoing]) for row in rows]
    return [message.subject for messages in decoded for message in messages]


async def test_a_message_that_kafka_refuses_stays_alone_and_its_neighbours_go(
    database: Database, stack: dict[str, Any]
) -> None:
    owner, run = "test-refused", uuid4().hex
    producer = Producer(stack["kafka"], topics.PARTITIONS)
    outbox = Outbox(owner, database, producer)
    async with outbox.transaction() as tx:
        for number in range(5):
            tx.put(TOPIC, say(f"{run}-{number}", TOO_LARGE if number == 3 else 1))
    async with outbox.transaction() as tx:
        tx.put(TOPIC, say(f"{run}-5"))
    async with heard(stack) as look, running(outbox.run):
        await eventually(look, {f"{run}-{number}" for number in (0, 1, 2, 4, 5)})
        await eventually(partial(left, database, owner), [f"{run}-3"])
        async with outbox.transaction() as tx:
            tx.put(TOPIC, say(f"{run}-6"))
        await eventually(look, {f"{run}-{number}" for number in (0, 1, 2, 4, 5, 6)})
    await producer.close()


async def leave(database: Database, owner: str, subjects: list[str], age_s: int = 0) -> None:
    """Rows as a process leaves them that dies between commit and send."""
    rows = [msgspec.msgpack.encode([Outgoing(TOPIC, s, encode(say(s)))]) for s in subjects]
    query = """
        INSERT INTO outbox (owner, messages, taken_at)
        SELECT $1, messages, now() - make_interval(secs => $3) FROM unnest($2::bytea[]) AS messages
    """
    async with database.connection() as sql:
        await sql.execute(query, owner, rows, age_s)


async def test_a_new_life_sends_what_its_predecessor_left_and_nobody_elses(
    database: Database, stack: dict[str, Any]
) -> None:
    mine, others = f"mine-{uuid4().hex}", f"others-{uuid4().hex}"
    await leave(database, "test-reborn", [mine])
    await leave(database, "test-living", [others])
    producer = Producer(stack["kafka"], topics.PARTITIONS)
    outbox = Outbox("test-reborn", database, producer)
    assert await outbox.adopt(predecessor=True) == 1
    async with heard(stack) as look, running(outbox.run):
        await eventually(look, {mine})
        await eventually(partial(left, database, "test-reborn"), [])
    assert await left(database, "test-living") == [others]
    await producer.close()


async def test_while_kafka_is_away_no_more_is_adopted_than_can_wait(database: Database) -> None:
    await leave(database, "test-ghost", [f"ghost-{n}" for n in range(2 * ADOPT_AT_ONCE + 1)], age_s=60)
    outbox = Outbox("test-heir", database, Producer("nowhere:1", topics.PARTITIONS))
    assert await outbox.adopt() == ADOPT_AT_ONCE
    assert await outbox.adopt() == 0
    assert len(await left(database, "test-ghost")) == ADOPT_AT_ONCE + 1
