"""A start that comes when what it began may have been forgotten begins nothing."""

import pytest

from orchestrator.retention import TOO_OLD
from services.contract.commit import Protocol
from services.contract.retention import DELIVERABLE_S
from services.runtime.database import Database
from services.runtime.ids import uuid7
from tests.integration.sagas import driver, shard, start

LATE_S = DELIVERABLE_S + 60.0


async def on_record(database: Database, order_id: str) -> tuple[int, list[str]]:
    """How many sagas and transactions of the order there are, and why a message of it was set aside."""
    async with database.connection() as sql:
        begun = await sql.fetchval(
            """SELECT (SELECT count(*) FROM sagas WHERE order_id = $1::uuid)
                    + (SELECT count(*) FROM transaction_orders WHERE order_id = $1::uuid)""",
            order_id,
        )
        letters = await sql.fetch("SELECT reason FROM dead_letters WHERE key = $1", order_id)
        await sql.execute("DELETE FROM dead_letters WHERE key = $1", order_id)
    return begun, [row["reason"] for row in letters]


@pytest.mark.parametrize("protocol", ["saga", "2pc"])
async def test_who_is_not_known_is_set_aside(database: Database, protocol: Protocol) -> None:
    order_id, in_time = uuid7(), uuid7()
    hands = driver(f"test-{order_id}", database)
    await hands.own({shard(order_id), shard(in_time)})
    await hands.handle([start(order_id, protocol, LATE_S), start(in_time, "saga", DELIVERABLE_S - 60.0)])
    assert await on_record(database, order_id) == (0, [TOO_OLD])
    assert await on_record(database, in_time) == (1, [])


async def test_who_is_known_has_begun_and_that_is_all(database: Database) -> None:
    order_id = uuid7()
    hands = driver(f"test-{order_id}", database)
    await hands.own({shard(order_id)})
    await hands.handle([start(order_id)])
    await hands.handle([start(order_id, age_s=LATE_S)])
    assert await on_record(database, order_id) == (1, [])
