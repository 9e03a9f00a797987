"""A transaction is run by one task of one coordinator, however often Postgres goes away in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncpg
import pytest

from orchestrator import transactions
from orchestrator.coordinator import Coordinator
from orchestrator.core.commit_journal import Begun
from orchestrator.driver import Driver
from services.contract.commit import Protocol
from services.runtime.database import Database
from tests.integration.sagas import driver, order_ids, shard, start


async def stored(database: Database, order_id: str) -> tuple[str, list[type]]:
    """The one transaction of the order, and the events in its log."""
    async with database.connection() as sql:
        [(id, _, log)] = await sql.fetch(transactions.LOGS, order_id)
    return id, [type(seen.event) for seen in transactions.read_log(log)]


@contextlib.asynccontextmanager
async def orchestrator(name: str, database: Database) -> AsyncIterator[Driver]:
    """At the end nothing of it goes on."""
    opened = driver(name, database)
    coordinator = opened._coordinator
    try:
        yield opened
    finally:
        tasks = {*coordinator._tasks, *filter(None, [coordinator._log._running])}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("protocol", ["2pc", "2pc-group", "3pc"])
async def test_a_beginning_whose_commit_was_not_heard_of_is_run_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, protocol: Protocol
) -> None:
    """Postgres has died between the commit and its answer."""
    begin, died = Coordinator._begin, False

    async def unheard(self: Coordinator, by_id: Mapping[str, Any]) -> Any:
        nonlocal died
        begun = await begin(self, by_id)
        if not died:
            died = True
            raise asyncpg.ConnectionDoesNotExistError
        return begun

    monkeypatch.setattr(Coordinator, "_begin", unheard)
    [order_id] = order_ids(1)
    async with orchestrator("test-owner", database) as owner:
        await owner.own({shard(order_id)})
        await owner.handle([start(order_id, protocol)])
        id, events = await stored(database, order_id)
        assert died and events == [Begun]
        assert owner._coordinator._under_way.has(id, owner._shards.epochs[shard(order_id)])
        await owner.handle([start(order_id, protocol)])
        assert await stored(database, order_id) == (id, [Begun]), "a start that comes again begins nothing"


@pytest.mark.parametrize("protocol", ["2pc", "2pc-group", "3pc"])
async def test_a_start_that_comes_twice_in_one_batch_begins_one_transaction(
    database: Database, protocol: Protocol
) -> None:
    [order_id] = order_ids(1)
    async with orchestrator("test-owner", database) as owner:
        await owner.own({shard(order_id)})
        await owner.handle([start(order_id, protocol), start(order_id, protocol)])
        [live] = owner._coordinator._under_way._live.values()
        assert [work.order_id for work in live.row.works] == [order_id]


async def test_a_look_for_what_others_left_that_fell_over_resumes_nothing_twice(database: Database) -> None:
    """It begins anew, and the log does not tell yet whose a transaction is by now."""
    [order_id] = order_ids(1)
    mine = shard(order_id)
    async with orchestrator("test-old", database) as old, orchestrator("test-new", database) as new:
        await old.own({mine})
        await old.handle([start(order_id, "2pc")])
        id, _ = await stored(database, order_id)
        await new.own({mine})
        await new._coordinator._resume(mine, new._shards.epochs[mine])
        resumed = new._coordinator._under_way.get(id)
        await new._coordinator._resume(mine, new._shards.epochs[mine])
        assert resumed is not None and new._coordinator._under_way.get(id) is resumed
