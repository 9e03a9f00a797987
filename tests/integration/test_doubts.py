"""What a participant shows of its transactions in doubt, and how it is told what becomes of one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from infra.native import Stack
from services.commit.by_hand import DoubtRoutes
from services.commit.termination import SILENT
from services.contract.commit import DOUBTS_PATH, RESOLUTIONS_PATH, Doubt, Resolution
from services.runtime.ids import uuid7
from tests.e2e.shopper import eventually
from tests.integration.commits import EPOCH, Desk, buy, desk, new_stock


@pytest.fixture
async def inventory(native: Stack) -> AsyncIterator[Desk]:
    async with desk(native, "inventory") as opened:
        yield opened


async def doubts(inventory: Desk) -> tuple[Doubt, ...]:
    return (await DoubtRoutes("inventory", inventory.route).doubts()).doubts


async def resolve(inventory: Desk, transaction: str, outcome: Any) -> tuple[bool, str]:
    resolution = Resolution(transaction, outcome, "nobody will come")
    told = await DoubtRoutes("inventory", inventory.route).resolve(resolution)
    return told.was_in_doubt, told.state


async def decided(inventory: Desk, transaction: str) -> list[tuple[object, ...]]:
    query = "SELECT outcome, reason, found FROM heuristics WHERE transaction_id = $1::uuid"
    return await inventory.fetch(query, transaction)


@contextlib.asynccontextmanager
async def wanting(inventory: Desk, sku: str) -> AsyncIterator[int]:
    """A session that wants to lock a row. Its process in Postgres."""
    sql = await asyncpg.connect(inventory.url)
    wants = asyncio.create_task(sql.execute(f"SELECT FROM stock WHERE sku = '{sku}' FOR UPDATE"))
    try:
        yield sql.get_server_pid()
    finally:
        wants.cancel()
        await asyncio.gather(wants, return_exceptions=True)
        sql.terminate()


async def test_what_is_in_doubt_is_shown_with_its_locks_and_all_who_wait_for_them(inventory: Desk) -> None:
    wanted, other = await new_stock(inventory, 5), await new_stock(inventory, 5)
    first, second = uuid7(), uuid7()
    await inventory.vote(first, buy({wanted: 1}), protocol="3pc")
    await inventory.vote(second, buy({other: 1}))
    await inventory.say("pre-commit", first, protocol="3pc")

    async def waiters() -> list[set[int]]:
        return [{waiter.process for waiter in doubt.waiters} for doubt in await doubts(inventory)]

    async with wanting(inventory, wanted) as next_one:
        await eventually(waiters, [{next_one}, set()])
        async with wanting(inventory, wanted) as one_behind:
            await eventually(waiters, [{next_one, one_behind}, set()])
            one, two = await doubts(inventory)
    assert (one.gid, one.transaction, one.precommitted) == (f"3pc:{first}/{EPOCH}/1", first, True)
    assert (two.transaction, two.epoch, two.number, two.precommitted) == (second, EPOCH, 1, False)
    assert {"branches", "holds", "stock"} == set(one.tables)
    assert wanted in one.waiters[0].statement and one.prepared_s > one.waiters[0].waits_s > 0


@pytest.mark.parametrize("gid", ["somebody's own", "3pc:x/1/1", "2pc:0190a000/1/1"])
async def test_what_somebody_else_has_prepared_is_named_and_left_alone(inventory: Desk, gid: str) -> None:
    sku, id, quoted = await new_stock(inventory, 5), uuid7(), gid.replace("'", "''")
    sql = await asyncpg.connect(inventory.url)
    await sql.execute(f"BEGIN; UPDATE stock SET on_hand = on_hand WHERE sku = '{sku}'")
    await sql.execute(f"PREPARE TRANSACTION '{quoted}'")
    try:
        assert (await inventory.vote(id, buy({sku: 1}))).vote == "busy"
        async with wanting(inventory, sku) as process:

            async def blocked() -> list[int]:
                told = await DoubtRoutes("inventory", inventory.route).doubts()
                [stranger] = told.strangers
                assert (stranger.gid, stranger.tables, told.doubts) == (gid, ("stock",), ())
                return [waiter.process for waiter in stranger.waiters]

            await eventually(blocked, [process])
        assert await inventory.fetch(SILENT, 0.0, 1) == []
    finally:
        await sql.execute(f"ROLLBACK PREPARED '{quoted}'")
        await sql.close()
    assert (await inventory.vote(uuid7(), buy({sku: 1}))).vote == "yes"


@pytest.mark.parametrize(
    ("outcome", "stock", "decision", "answer"),
    [("committed", (3, 0, 2), "abort", "committed"), ("aborted", (5, 0, 0), "commit", "aborted")],
)
async def test_who_decides_by_hand_frees_the_locks_and_the_coordinator_hears_of_it(
    inventory: Desk, outcome: str, stock: tuple[int, int, int], decision: str, answer: str
) -> None:
    sku, transaction = await new_stock(inventory, 5), uuid7()
    await inventory.vote(transaction, buy({sku: 2}))
    assert await resolve(inventory, transaction, outcome) == (True, outcome)
    assert await inventory.stock(sku) == stock
    assert await doubts(inventory) == ()
    assert await decided(inventory, transaction) == [(outcome, "nobody will come", outcome)]
    assert (await inventory.say(decision, transaction)).state == answer
    assert await inventory.stock(sku) == stock


async def test_what_somebody_else_has_prepared_is_none_of_ours(inventory: Desk) -> None:
    sku, transaction = await new_stock(inventory, 5), uuid7()
    names = (f"theirs/{transaction}", f"2pc:{transaction}", f"2pc:{transaction[:-1]}/1/1")
    sql = await asyncpg.connect(inventory.url)
    for name in names:
        await sql.execute(f"BEGIN; SELECT txid_current(); PREPARE TRANSACTION '{name}'")
    await inventory.vote(transaction, buy({sku: 2}))
    assert [doubt.transaction for doubt in await doubts(inventory)] == [transaction]
    assert await resolve(inventory, transaction, "aborted") == (True, "aborted")
    assert await doubts(inventory) == ()
    for name in names:
        await sql.execute(f"ROLLBACK PREPARED '{name}'")
    await sql.close()


@pytest.mark.parametrize("_", range(10))
async def test_of_two_operators_one_decides(inventory: Desk, _: int) -> None:
    """One who comes between the other's rollback and its record is told the end, too."""
    sku, transaction = await new_stock(inventory, 5), uuid7()
    await inventory.vote(transaction, buy({sku: 2}))
    wanted = ("committed", "aborted", "committed", "aborted")
    answers = await asyncio.gather(*(resolve(inventory, transaction, outcome) for outcome in wanted))
    states = {state for was_in_doubt, state in answers if was_in_doubt}
    assert len(states) == 1
    assert await inventory.stock(sku) == ((3, 0, 2) if states == {"committed"} else (5, 0, 0))
    kept = await decided(inventory, transaction)
    assert {found for _, _, found in kept} == states


async def test_what_is_not_in_doubt_is_not_resolved(inventory: Desk) -> None:
    sku, ended, unknown = await new_stock(inventory, 5), uuid7(), uuid7()
    await inventory.vote(ended, buy({sku: 2}))
    await inventory.say("commit", ended)
    for transaction in (ended, unknown):
        assert await resolve(inventory, transaction, "aborted") == (False, "")
        assert await decided(inventory, transaction) == []
    assert await inventory.stock(sku) == (3, 0, 2)


@pytest.mark.parametrize("service", ["order", "inventory", "payment"])
async def test_only_who_bears_the_credential_sees_and_resolves(
    stack: dict[str, Any], shop: httpx.AsyncClient, inside: httpx.AsyncClient, service: str
) -> None:
    credential = {"Authorization": f"Bearer {stack['participant_token']}"}
    body = {"transaction": str(uuid4()), "outcome": "aborted", "reason": "why"}
    path, resolutions = f"/{service}{DOUBTS_PATH}", f"/{service}{RESOLUTIONS_PATH}"
    assert (await inside.get(path)).status_code == 401
    assert (await inside.post(resolutions, json=body)).status_code == 401
    assert (await shop.get(path, headers=credential)).status_code == 404
    assert (await inside.get(path, headers=credential)).json()["participant"] == service
    told = (await inside.post(resolutions, json=body, headers=credential)).json()
    assert told == {"participant": service, "was_in_doubt": False, "state": ""}
    wrongs: tuple[dict[str, Any], ...] = (
        {"outcome": "maybe"},
        {"transaction": "'; DROP TABLE stock"},
        {"reason": ""},
        {"reason": "\0"},
        {"reason": "why\n1 violation"},
        {"reason": "x" * 501},
    )
    for wrong in wrongs:
        answer = await inside.post(resolutions, json=body | wrong, headers=credential)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
