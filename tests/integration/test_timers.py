"""Timers ring for the sagas of the shards owned, for each saga alone."""

import pytest

from services.runtime.database import Database
from tests.integration.sagas import MARK, change, driver, log_of, order_ids, said, shard, start

RINGS_NOW = "wake_at = now()"


async def asks(database: Database, owner: str, order_id: str) -> list[str]:
    return [id.removeprefix(f"{order_id}/") for id in await said(database, owner) if order_id in id]


async def test_what_is_unanswered_is_asked_again_when_the_timer_rings(database: Database) -> None:
    [order_id] = order_ids(1)
    owner = driver("test-owner", database)
    await owner.own({shard(order_id)})
    await owner.handle([start(order_id)])
    await change(database, order_id, RINGS_NOW)
    await owner._ring({shard(order_id)})
    assert await asks(database, "test-owner", order_id) == [
        "order.hold/1", "order.charge/1", "order.hold/2", "order.charge/2",
    ]  # fmt: skip
    assert await log_of(database, order_id) == ["start", "timed-out"]


async def test_after_the_deadline_a_timer_turns_the_saga_back(database: Database) -> None:
    [order_id] = order_ids(1)
    owner = driver("test-owner", database)
    await owner.own({shard(order_id)})
    await owner.handle([start(order_id)])
    await change(database, order_id, f"{RINGS_NOW}, started_at = now() - interval '61 s'")
    await owner._ring({shard(order_id)})
    assert (await asks(database, "test-owner", order_id))[2:] == ["order.release/1", "order.refund/1"]
    assert await log_of(database, order_id) == ["start", "expired"]


async def test_a_timer_of_a_phase_gone_by_asks_nothing_and_is_armed_anew(database: Database) -> None:
    [order_id] = order_ids(1)
    owner = driver("test-owner", database)
    await owner.own({shard(order_id)})
    await owner.handle([start(order_id)])
    await change(database, order_id, f"{RINGS_NOW}, wake_for = 'forward/7/1'")
    await owner._ring({shard(order_id)})
    assert await asks(database, "test-owner", order_id) == ["order.hold/1", "order.charge/1"]
    async with database.connection() as sql:
        query = "SELECT wake_for, wake_at > now() FROM sagas WHERE order_id = $1::uuid"
        assert tuple(await sql.fetchrow(query, order_id) or ()) == ("forward/0/1", True)


@pytest.mark.parametrize("damage", ["kind = 'dance'", "state = '{}'", "state = 'x'", f"payload = '{MARK}'"])
async def test_a_saga_that_cannot_go_on_holds_up_no_other(database: Database, damage: str) -> None:
    ids = order_ids(3)
    owner, heir = driver("test-owner", database), driver("test-heir", database)
    await owner.own({shard(ids[0])})
    await owner.handle([start(order_id) for order_id in ids])
    for order_id in ids:
        await change(database, order_id, RINGS_NOW)
    await change(database, sorted(ids)[1], damage)
    await owner._ring({shard(ids[0])})
    async with database.connection() as sql:
        waiting = "SELECT count(*) FROM sagas WHERE order_id = ANY($1::uuid[]) AND wake_at > now()"
        assert await sql.fetchval(waiting, ids) == 3, "the one that cannot is put off"
    await heir.own({shard(ids[0])})
    await heir._resume(shard(ids[0]), heir._shards.epochs[shard(ids[0])])
    logs = [await log_of(database, order_id) for order_id in sorted(ids)]
    gone_on = ["start", "timed-out", "recovered"]
    assert logs == [gone_on, ["start"], gone_on]
    assert len(await asks(database, "test-owner", sorted(ids)[1])) == 2, "it says nothing more"


async def test_an_operator_need_not_wait_for_the_timer(database: Database) -> None:
    [order_id] = order_ids(1)
    owner, other = driver("test-owner", database), driver("test-other", database)
    await owner.own({shard(order_id)})
    await owner.handle([start(order_id)])
    await change(database, order_id, "wake_at = now() + interval '31 s'")
    assert await other.retry_now(order_id) == ["order"]
    assert await asks(database, "test-other", order_id) == ["order.hold/1", "order.charge/1"]
    assert await log_of(database, order_id) == ["start", "retry-now"]
    async with database.connection() as sql:
        query = "SELECT wake_at < now() + interval '3 s' FROM sagas WHERE order_id = $1::uuid"
        assert await sql.fetchval(query, order_id), "and backoff starts over"
    await owner.handle([start(order_id)])
    assert await owner.retry_now(order_ids(1)[0]) == [], "no saga of this order"
