"""What a worker takes for a lost race, and what for poison."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from services.contract import topics
from services.contract.messages import ShipStock
from services.runtime import fencing
from services.runtime.bus import Producer
from services.runtime.database import TRIES, Database
from services.runtime.envelope import encode, seal
from services.runtime.ids import uuid7
from services.runtime.inbox import DONE, Answer
from services.runtime.outbox import Outbox, Transaction
from services.runtime.worker import Command, Worker


@pytest.fixture
async def inventory(stack: dict[str, Any]) -> AsyncIterator[Database]:
    database = Database(stack["databases"]["inventory"]["owner"])
    yield database
    async with database.connection() as sql:
        await sql.execute("DELETE FROM dead_letters WHERE topic = 'test'")
        await sql.execute("DELETE FROM inbox WHERE step = 'test.ship'")
        await sql.execute("DELETE FROM fences WHERE name LIKE 'test:%'")
    await database.close()


def worker(database: Database, **more: Any) -> Worker:
    """Its answers go where nobody reads them."""
    outbox = Outbox("test-worker", database, Producer("nowhere:1", topics.PARTITIONS))
    return Worker(
        "test", outbox, answers_topic=topics.DEAD_LETTERS, dead_letter_topic=topics.DEAD_LETTERS, **more
    )


def ship(subject: str) -> Any:
    step = "test.ship"
    envelope = seal(ShipStock(), id=f"{subject}/{step}/1", source="test", subject=subject, step=step)
    value = encode(envelope)
    offset = int(subject[:13].replace("-", ""), 16)
    return ConsumerRecord("test", 0, offset, 0, 0, subject.encode(), value, None, 0, len(value), ())


async def done(tx: Transaction, commands: Sequence[Command]) -> Sequence[Answer]:
    return [DONE] * len(commands)


async def ended(database: Database, subject: str) -> tuple[int, int]:
    """How often the step was done, and how often buried."""
    async with database.connection() as sql:
        inbox = await sql.fetchval("SELECT count(*) FROM inbox WHERE subject = $1::uuid", subject)
        return inbox, await sql.fetchval("SELECT count(*) FROM dead_letters WHERE key = $1", subject)


async def test_however_many_races_a_healthy_command_loses_it_is_not_buried(inventory: Database) -> None:
    name, lost = f"test:{uuid7()}", 0

    @asynccontextmanager
    async def guard(commands: Sequence[Command]) -> AsyncIterator[Mapping[str, int]]:
        nonlocal lost
        async with inventory.transaction() as sql:
            number = await fencing.issue(sql, name)
            if lost < TRIES + 2:
                lost += 1
                await fencing.issue(sql, name)  # somebody else was quicker
                yield {name: number}
                return
        yield {name: number}

    subject = uuid7()
    await worker(inventory, handlers={ShipStock: done}, guard=guard).handle([ship(subject)])
    assert lost == TRIES + 2
    assert await ended(inventory, subject) == (1, 0)


async def test_a_command_that_collides_with_what_is_there_every_time_is_buried(inventory: Database) -> None:
    name, tries = f"test:{uuid7()}", 0
    async with inventory.transaction() as sql:
        await fencing.issue(sql, name)

    async def collide(tx: Transaction, commands: Sequence[Command]) -> Sequence[Answer]:
        nonlocal tries
        tries += 1
        await tx.sql.execute("INSERT INTO fences (name, number) VALUES ($1, 1)", name)
        return await done(tx, commands)

    subject = uuid7()
    await worker(inventory, handlers={ShipStock: collide}).handle([ship(subject)])
    assert tries == TRIES
    assert await ended(inventory, subject) == (0, 1)
