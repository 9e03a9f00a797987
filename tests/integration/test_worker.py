"""What a worker takes for a lost race, and what for poison."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from msgspec.structs import replace

from services.contract import topics
from services.contract.messages import ShipStock
from services.runtime import fencing
from services.runtime.bus import Producer
from services.runtime.database import LOCK_WAIT_S, TRIES, Database
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


def ship(subject: str, age_s: float = 0.0) -> Any:
    step = "test.ship"
    envelope = seal(ShipStock(), id=f"{subject}/{step}/1", source="test", subject=subject, step=step)
    envelope = replace(envelope, time=datetime.now(UTC) - timedelta(seconds=age_s))
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


async def keep(database: Database, name: str) -> str:
    """Locks this fence in a prepared transaction, that of somebody who may never come. Its gid."""
    gid = f"somebody-{uuid7()}"
    async with database.connection() as sql:
        await fencing.issue(sql, name)
        await sql.execute("BEGIN")
        await fencing.issue(sql, name)
        await sql.execute(f"PREPARE TRANSACTION '{gid}'")
    return gid


async def let_go(database: Database, gid: str) -> None:
    async with database.connection() as sql:
        await sql.execute(f"ROLLBACK PREPARED '{gid}'")


async def wants_its_fence(tx: Transaction, commands: Sequence[Command]) -> Sequence[Answer]:
    names = [f"test:{command.subject}" for command in commands]
    await tx.sql.fetch("SELECT FROM fences WHERE name = ANY($1::text[]) ORDER BY name FOR UPDATE", names)
    return await done(tx, commands)


async def test_a_row_that_stays_locked_holds_up_nobody_else(inventory: Database) -> None:
    """Who wants it has no answer, and is asked again."""
    subjects = [uuid7() for _ in range(9)]
    patient, *others = subjects
    hands = worker(inventory, handlers={ShipStock: wants_its_fence}, good_for_s=60.0)
    gid = await keep(inventory, f"test:{patient}")
    try:
        await hands.handle([ship(subject) for subject in subjects])
        assert [await ended(inventory, subject) for subject in others] == [(1, 0)] * len(others)
        assert await ended(inventory, patient) == (0, 0)
    finally:
        await let_go(inventory, gid)
    await hands.handle([ship(patient)])
    assert await ended(inventory, patient) == (1, 0)


async def test_who_is_not_asked_again_waits_for_as_long_as_it_takes(inventory: Database) -> None:
    subject = uuid7()
    gid = await keep(inventory, f"test:{subject}")
    handling = asyncio.create_task(
        worker(inventory, handlers={ShipStock: wants_its_fence}).handle([ship(subject)])
    )
    try:
        await asyncio.wait([handling], timeout=1.5 * LOCK_WAIT_S)
        assert not handling.done()
    finally:
        await let_go(inventory, gid)
    await handling
    assert await ended(inventory, subject) == (1, 0)


async def test_what_is_too_old_is_not_done_unless_somebody_says_it_only_once(inventory: Database) -> None:
    known, forgotten = uuid7(), uuid7()
    ran: list[str] = []

    async def counted(tx: Transaction, commands: Sequence[Command]) -> Sequence[Answer]:
        ran.extend(command.subject for command in commands)
        return await done(tx, commands)

    hands = worker(inventory, handlers={ShipStock: counted}, good_for_s=60.0)
    await hands.handle([ship(known)])
    await hands.handle([ship(known, 61), ship(forgotten, 61)])
    assert ran == [known]
    assert (await ended(inventory, known), await ended(inventory, forgotten)) == ((1, 0), (0, 0))
    await worker(inventory, handlers={ShipStock: counted}).handle([ship(forgotten, 61)])
    assert await ended(inventory, forgotten) == (1, 0)
