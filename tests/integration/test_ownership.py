"""Who may write: the last owner only. And nothing that was committed stays unsent."""

from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from orchestrator import shards
from orchestrator.shards import fence_of
from services.contract import topics
from services.contract.messages import ProductChanged
from services.runtime import fencing
from services.runtime.database import Database
from services.runtime.envelope import Outgoing, encode, seal
from tests.e2e.shopper import eventually
from tests.integration.loops import running
from tests.integration.sagas import driver, log_of, order_ids, shard, start


async def written(database: Database, order_id: str, owner: str) -> tuple[int, int]:
    """How many sagas of the order there are, and how many outbox rows of the owner."""
    async with database.connection() as sql:
        sagas = await sql.fetchval("SELECT count(*) FROM sagas WHERE order_id = $1::uuid", order_id)
        return sagas, await sql.fetchval("SELECT count(*) FROM outbox WHERE owner = $1", owner)


async def test_an_orchestrator_that_was_overtaken_can_write_nothing(database: Database) -> None:
    [order_id] = order_ids(1)
    slow, quick = driver("test-slow", database), driver("test-quick", database)
    await slow.own({shard(order_id)})
    await quick.own({shard(order_id)})
    with pytest.raises(fencing.StaleHolder, match=fence_of(shard(order_id))):
        await slow.handle([start(order_id)])
    assert await written(database, order_id, "test-slow") == (0, 0)
    await quick.handle([start(order_id)])
    assert await written(database, order_id, "test-quick") == (1, 1)


async def test_a_message_that_comes_twice_starts_one_saga(database: Database) -> None:
    [order_id] = order_ids(1)
    owner = driver("test-owner", database)
    await owner.own({shard(order_id)})
    await owner.handle([start(order_id), start(order_id)])
    await owner.handle([start(order_id)])
    assert await written(database, order_id, "test-owner") == (1, 1)


async def test_a_new_owner_asks_again_what_the_old_one_had_asked(database: Database) -> None:
    [order_id] = order_ids(1)
    mine = shard(order_id)
    old, new = driver("test-old", database), driver("test-new", database)
    await old.own({mine})
    await old.handle([start(order_id)])
    await new.own({mine})
    assert await new._resume(mine, new._shards.epochs[mine]) >= 1
    assert await log_of(database, order_id) == ["start", "recovered"]
    assert await written(database, order_id, "test-new") == (1, 1)


async def test_a_shard_lost_to_a_former_owner_that_came_late_is_claimed_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the timers: no message comes that would tell."""
    monkeypatch.setattr(shards, "RECLAIM_AFTER_S", 0.0)
    [order_id] = order_ids(1)
    owner, late = driver("test-owner", database), driver("test-late", database)
    await owner.own({shard(order_id)})
    await owner.handle([start(order_id)])
    await late.own({shard(order_id)})
    await late.own(set())

    async def recovered() -> bool:
        return "recovered" in await log_of(database, order_id)

    async with running(owner.run_timers):
        await eventually(recovered, True)


async def test_two_who_both_believe_to_own_a_shard_do_not_fight(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "RECLAIM_AFTER_S", 0.0)
    both = driver("test-one", database), driver("test-other", database)
    for believer in both:
        await believer.own({0})
    drawn = both[1]._shards.epochs[0]

    async def owners() -> list[dict[int, int]]:
        return [believer._shards.epochs for believer in both]

    async with running(both[0].run_timers), running(both[1].run_timers):
        await eventually(owners, [{}, {0: drawn + 2}])
    for believer in both:
        await believer._shards.reclaim()
    assert await owners() == [{}, {0: drawn + 2}]


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
