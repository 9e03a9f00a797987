"""Redis may know nothing, or nonsense, or be wrong about a lock: then Postgres decides."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from services.contract.messages import HoldStock, Line
from services.inventory.hot import FEWEST_HOLDS, HotProducts
from services.order.answers import Answers
from services.runtime import fencing
from services.runtime.database import Database
from services.runtime.envelope import seal
from services.runtime.idempotency import Record
from services.runtime.shortcuts import Shortcuts
from services.runtime.worker import Command
from tests.e2e.shopper import eventually


@pytest.mark.parametrize("nonsense", [b"\xc1", b"nonsense", b"\x95\xa1x\xc0\xc0\xc0\xc0", b"\xa2\xff\xfe"])
async def test_nonsense_in_the_cache_is_not_known(stack: dict[str, Any], nonsense: bytes) -> None:
    good, bad = (str(uuid4()) for _ in range(2))
    record = Record(good, b"", None, 201, "{}")
    shortcuts = Shortcuts(stack["redis_url"])
    answers = Answers(shortcuts, Database(stack["databases"]["order"]["audit"]))
    answers.finished([record])
    async with Redis.from_url(stack["redis_url"]) as redis:
        await redis.set(f"answer:{bad}", nonsense, ex=60)
    await eventually(lambda: answers.recall([bad, good]), {good: record})
    await shortcuts.close()


def crowd(sku: str, holds: int = FEWEST_HOLDS) -> list[Command]:
    message = HoldStock((Line(sku, 1),))
    envelope = seal(message, id="x", source="test", subject="x", step="order.hold")
    return [Command(None, envelope, message)] * holds


@pytest.fixture
async def inventory(stack: dict[str, Any]) -> AsyncIterator[Database]:
    database = Database(stack["databases"]["inventory"]["owner"])
    yield database
    async with database.connection() as sql:
        await sql.execute("DELETE FROM fences WHERE name LIKE 'hot:test-%'")
    await database.close()


@pytest.fixture
async def shortcuts(stack: dict[str, Any]) -> AsyncIterator[Shortcuts]:
    shortcuts = Shortcuts(stack["redis_url"])
    yield shortcuts
    await shortcuts.close()


async def test_a_hot_product_has_one_holder_and_the_next_has_a_higher_number(
    inventory: Database, shortcuts: Shortcuts
) -> None:
    hot, sku = HotProducts(inventory, shortcuts), f"test-{uuid4()}"
    async with hot.guard(crowd(sku)) as first:
        [(name, number)] = first.items()
        assert name == f"hot:{sku}"
        async with hot.guard(crowd(sku)) as impatient:
            assert impatient == {}, "who waits too long goes on without"
    async with hot.guard(crowd(sku)) as next_one:
        assert next_one == {name: number + 1}


async def test_without_a_crowd_or_without_redis_nothing_is_held(
    inventory: Database, shortcuts: Shortcuts
) -> None:
    sku = f"test-{uuid4()}"
    async with HotProducts(inventory, shortcuts).guard(crowd(sku, FEWEST_HOLDS - 1)) as held:
        assert held == {}
    nowhere = Shortcuts("redis://127.0.0.1:1")
    async with HotProducts(inventory, nowhere).guard(crowd(sku)) as held:
        assert held == {}
    await nowhere.close()


async def test_a_holder_whose_lock_ran_out_is_refused_and_leaves_the_next_ones_alone(
    inventory: Database, shortcuts: Shortcuts, stack: dict[str, Any]
) -> None:
    hot, sku = HotProducts(inventory, shortcuts), f"test-{uuid4()}"
    async with hot.guard(crowd(sku)) as paused, Redis.from_url(stack["redis_url"]) as redis:
        await redis.delete(f"hot:{sku}")
        guard = hot.guard(crowd(sku))
        next_one = await guard.__aenter__()
        async with inventory.transaction() as sql:
            await fencing.check(sql, next_one)
            with pytest.raises(fencing.StaleHolder):
                await fencing.check(sql, paused)
    assert await shortcuts.lock(f"hot:{sku}", ttl_s=1) is None, "it is still the next one's"
    await guard.__aexit__(None, None, None)
