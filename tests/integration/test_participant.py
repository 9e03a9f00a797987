"""A participant on real Postgres: votes, refusals, and requests that are repeated, late or out of turn."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from infra.native import Stack
from services.contract.commit import Refused, Told, Work
from services.runtime.ids import uuid7
from tests.e2e.shopper import eventually
from tests.integration.commits import EPOCH, Desk, asked, buy, cancel, desk, new_stock, prepare

YES, BUSY = Told(vote="yes"), Told(vote="busy")


@pytest.fixture
async def inventory(native: Stack) -> AsyncIterator[Desk]:
    async with desk(native, "inventory") as opened:
        yield opened


async def markers(desk: Desk, transaction: str) -> list[tuple[object, ...]]:
    query = "SELECT number, outcome, subjects::text[] FROM branches WHERE transaction_id = $1::uuid"
    return await desk.fetch(query, transaction)


async def test_what_is_prepared_is_invisible_until_it_is_committed(inventory: Desk) -> None:
    sku, transaction = await new_stock(inventory, 5), uuid7()
    bought = buy({sku: 2})
    assert await inventory.vote(transaction, bought) == YES
    assert await inventory.stock(sku) == (5, 0, 0)
    assert await inventory.prepared(transaction) == [f"2pc:{transaction}/{EPOCH}/1"]
    assert (await inventory.say("commit", transaction)).state == "committed"
    assert await inventory.stock(sku) == (3, 0, 2)
    assert await inventory.prepared(transaction) == []
    assert await markers(inventory, transaction) == [(1, "committed", [bought.order_id])]


async def test_what_is_aborted_was_never_there(inventory: Desk) -> None:
    sku, transaction = await new_stock(inventory, 5), uuid7()
    assert await inventory.vote(transaction, buy({sku: 2})) == YES
    assert (await inventory.say("abort", transaction)).state == "aborted"
    assert await inventory.stock(sku) == (5, 0, 0)
    assert await markers(inventory, transaction) == [(1, "aborted", [])]


async def test_a_refusal_names_its_orders_and_leaves_nothing(inventory: Desk) -> None:
    sku, transaction = await new_stock(inventory, 3), uuid7()
    works = [buy({sku: 2}), buy({sku: 2}), buy({sku: 1}), buy({"nowhere": 1})]
    told = await inventory.vote(transaction, *works)
    assert told.vote == "no"
    assert [(r.order_id, r.reason) for r in told.refusals] == [
        (works[1].order_id, "out-of-stock"),
        (works[3].order_id, "unknown-sku"),
    ]
    assert await inventory.prepared(transaction) == []
    assert await markers(inventory, transaction) == []
    assert await inventory.vote(transaction, works[0], works[2], number=2) == YES, (
        "without them it can be done"
    )


async def test_a_repeated_prepare_does_its_work_once(inventory: Desk) -> None:
    sku, transaction = await new_stock(inventory, 5), uuid7()
    same = prepare(transaction, buy({sku: 2}))
    assert await inventory.ask(same) == [YES]
    assert await inventory.ask(same, same) == [YES, YES]
    await inventory.say("commit", transaction)
    assert await inventory.ask(same) == [YES], "a vote is not taken back"
    assert await inventory.stock(sku) == (3, 0, 2)


async def test_twins_of_a_prepare_in_two_replicas_do_its_work_once(native: Stack, inventory: Desk) -> None:
    sku, transaction = await new_stock(inventory, 5), uuid7()
    replica = Desk(native, "inventory")
    same = prepare(transaction, buy({sku: 2}))
    votes = await asyncio.gather(*(each.ask(same) for each in (inventory, replica) * 2))
    assert [YES] in votes, "the others may have lost the race for the marker"
    assert len(await inventory.prepared(transaction)) == 1
    states = await asyncio.gather(*(each.say("commit", transaction) for each in (inventory, replica) * 2))
    assert {told.state for told in states} == {"committed"}
    assert await inventory.stock(sku) == (3, 0, 2)
    await replica.route.participant.close()


async def test_a_second_commit_is_answered_from_the_marker(inventory: Desk) -> None:
    """ "Does not exist" (42704) proves nothing: only the marker tells a commit from an abort."""
    sku, done, undone = await new_stock(inventory, 5), uuid7(), uuid7()
    for transaction, verb in ((done, "commit"), (undone, "abort")):
        assert await inventory.vote(transaction, buy({sku: 1})) == YES
        await inventory.say(verb, transaction)
    with pytest.raises(asyncpg.UndefinedObjectError):
        async with inventory.database.connection() as sql:
            await sql.execute(f"COMMIT PREPARED '2pc:{done}/{EPOCH}/1'")
    assert (await inventory.say("commit", done)).state == "committed"
    assert (await inventory.say("commit", undone)).state == "aborted"


async def test_what_was_committed_by_hand_against_the_decision_is_told(inventory: Desk) -> None:
    sku, transaction = await new_stock(inventory, 5), uuid7()
    assert await inventory.vote(transaction, buy({sku: 1})) == YES
    async with inventory.database.connection() as sql:
        await sql.execute(f"COMMIT PREPARED '2pc:{transaction}/{EPOCH}/1'")
    assert (await inventory.say("abort", transaction)).state == "committed"


async def test_an_abort_that_overtakes_its_prepare_leaves_no_orphan(inventory: Desk) -> None:
    sku, transaction = await new_stock(inventory, 5), uuid7()
    assert (await inventory.say("abort", transaction)).state == "aborted"
    assert await inventory.vote(transaction, buy({sku: 1})) == BUSY
    assert await inventory.prepared(transaction) == []
    assert await inventory.vote(transaction, buy({sku: 1}), number=2) == YES, "the next round is another"


async def test_who_says_that_it_has_not_voted_never_will(inventory: Desk) -> None:
    sku, transaction = await new_stock(inventory, 5), uuid7()
    assert (await inventory.say("inquire", transaction)).state == "aborted"
    assert await inventory.vote(transaction, buy({sku: 1})) == BUSY


async def test_rounds_follow_one_another_and_only_the_last_can_be_committed(inventory: Desk) -> None:
    sku, transaction = await new_stock(inventory, 9), uuid7()
    for number in (1, 2, 3):
        assert await inventory.vote(transaction, buy({sku: number}), number=number) == YES
        assert await inventory.vote(transaction, buy({sku: 1}), number=number + 1) == BUSY, "not yet"
        if number < 3:
            assert (await inventory.say("abort", transaction, number)).state == "aborted"
    assert await inventory.vote(transaction, buy({sku: 1}), number=2) == BUSY, "late"
    assert (await inventory.say("commit", transaction, 2)).state == "aborted"
    assert (await inventory.say("abort", transaction, 2)).state == "aborted"
    assert (await inventory.say("commit", transaction, 3)).state == "committed"
    assert await inventory.stock(sku) == (6, 0, 3)


async def test_an_abort_ends_every_earlier_round_too(inventory: Desk) -> None:
    """An owner that takes over aborts whatever those before it may have begun."""
    sku, transaction = await new_stock(inventory, 5), uuid7()
    assert await inventory.vote(transaction, buy({sku: 1}), number=4) == YES
    assert await inventory.ask(asked("abort", transaction, epoch=EPOCH + 1, number=0)) == [
        Told(state="aborted")
    ]
    assert await inventory.prepared(transaction) == []
    assert await inventory.vote(transaction, buy({sku: 1}), number=5) == BUSY


async def test_an_abort_during_the_work_leaves_nothing_prepared(native: Stack, inventory: Desk) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(sql: asyncpg.Connection, works: Sequence[Work]) -> Sequence[Refused]:
        begun.set()
        await go_on.wait()
        return []

    working, transaction = Desk(native, "inventory", slow), uuid7()
    voting = asyncio.create_task(working.vote(transaction, buy({"any": 1})))
    await begun.wait()

    async def abort() -> Told:
        """Until there is an answer, as a coordinator does."""
        while True:
            with contextlib.suppress(TimeoutError):
                return await inventory.say("abort", transaction)

    async def has_come() -> bool:
        """It waits a tenth of a second for the marker, and is to be seen in that time."""
        query = """
            SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                AND pid <> pg_backend_pid() AND query LIKE '%VALUES%''aborted'')%'
        """
        return await inventory.fetch(query) != [(0,)]

    aborting = asyncio.create_task(abort())
    await eventually(has_come, True, every_s=0.005)
    go_on.set()
    assert (await aborting).state == "aborted"
    assert await voting in (YES, BUSY)
    assert await inventory.prepared(transaction) == []
    await working.route.participant.close()


async def test_requests_of_one_batch_are_answered_in_order_whatever_they_are(inventory: Desk) -> None:
    sku, scarce = await new_stock(inventory, 9), await new_stock(inventory, 0)
    old, new, poor = uuid7(), uuid7(), uuid7()
    assert await inventory.vote(old, buy({sku: 1})) == YES
    answers = await inventory.ask(
        asked("commit", old),
        prepare(poor, buy({scarce: 1})),
        prepare(new, buy({sku: 1})),
        asked("commit", new),
        asked("abort", poor),
    )
    assert [told.vote or told.state for told in answers] == ["committed", "no", "yes", "committed", "aborted"]
    assert await inventory.stock(sku) == (7, 0, 2)


async def test_a_fault_in_the_work_of_one_does_not_disturb_the_others(native: Stack, inventory: Desk) -> None:
    async def work(sql: asyncpg.Connection, works: Sequence[Work]) -> Sequence[Refused]:
        if works[0].kind == "cancel":
            raise KeyError("a bug")
        return []

    faulty = Desk(native, "inventory", work)
    requests = [prepare(uuid7(), cancel(uuid7()) if n % 2 else buy({})) for n in range(40)]

    async def votes() -> list[Told]:
        return await faulty.ask(*requests)

    # Busy may also be one whose turn came late, and who then got no lock in time.
    await eventually(votes, [BUSY if n % 2 else YES for n in range(40)])
    await faulty.route.participant.close()


async def test_goods_of_a_cancelled_order_come_back(inventory: Desk) -> None:
    sku = await new_stock(inventory, 5)
    bought = buy({sku: 2})
    for works in ((bought,), (cancel(bought.order_id), buy({sku: 1}))):
        transaction = uuid7()
        assert await inventory.vote(transaction, *works) == YES
        await inventory.say("commit", transaction)
    assert await inventory.stock(sku) == (4, 0, 1)
    states = await inventory.fetch("SELECT state FROM holds ORDER BY state")
    assert states == [("restocked",), ("shipped",)]


async def test_a_thousand_buyers_of_one_product_buy_exactly_what_there_is(
    native: Stack, inventory: Desk
) -> None:
    """Two replicas; ten buyers a transaction, which tries again when it was busy and drops who is refused."""
    sku = await new_stock(inventory, 700)
    replica = Desk(native, "inventory")
    sold: list[str] = []

    async def try_to_buy(crowd: Sequence[Work], desks: tuple[Desk, Desk]) -> None:
        transaction, left, number = uuid7(), list(crowd), 0
        while left:
            number += 1
            told = await desks[number % 2].vote(transaction, *left, number=number)
            if told.vote == "yes":
                assert (await desks[0].say("commit", transaction, number)).state == "committed"
                sold.extend(work.order_id for work in left)
                return
            refused = {refusal.order_id for refusal in told.refusals}
            left = [work for work in left if work.order_id not in refused]
            assert (await desks[1].say("abort", transaction, number)).state == "aborted"

    crowds = [[buy({sku: 1}) for _ in range(10)] for _ in range(100)]
    await asyncio.gather(*(try_to_buy(crowd, (inventory, replica)) for crowd in crowds))
    assert await inventory.stock(sku) == (0, 0, 700)
    held = await inventory.fetch("SELECT order_id::text FROM holds WHERE state = 'shipped'")
    assert sorted(sold) == sorted(str(order_id) for (order_id,) in held)
    await replica.route.participant.close()


@contextlib.asynccontextmanager
async def locked(desk: Desk, sku: str) -> AsyncIterator[None]:
    """Somebody else has the product's row."""
    connection = await asyncpg.connect(desk.url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM stock WHERE sku = $1 FOR UPDATE", sku)
            yield
    finally:
        await connection.close()


async def test_a_lock_that_is_not_had_in_time_makes_a_vote_busy_and_holds_up_nobody(inventory: Desk) -> None:
    taken, free = await new_stock(inventory, 5), await new_stock(inventory, 500)
    async with locked(inventory, taken):
        waiting = [prepare(uuid7(), buy({taken: 1})) for _ in range(30)]
        others = [prepare(uuid7(), buy({free: 1})) for _ in range(1)]
        async with asyncio.timeout(2):
            answers = await inventory.ask(*waiting, *others)
    assert [told.vote for told in answers] == ["busy"] * 30 + ["yes"]
    assert await inventory.vote(uuid7(), buy({taken: 1})) == YES


async def test_who_decides_does_not_queue_behind_those_who_wait_for_locks(inventory: Desk) -> None:
    sku, transaction = await new_stock(inventory, 5), uuid7()
    assert await inventory.vote(transaction, buy({sku: 1})) == YES
    crowd = [prepare(uuid7(), buy({sku: 1})) for _ in range(30)]
    waiting = asyncio.ensure_future(inventory.ask(*crowd))
    assert (await inventory.say("commit", transaction)).state == "committed"
    assert not waiting.done()
    assert [told.vote for told in await waiting].count("yes") <= 1
