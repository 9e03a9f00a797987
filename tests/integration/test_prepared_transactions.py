"""What Postgres makes of prepared transactions, trap by trap, and what a participant makes of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from infra.native import Stack
from services.contract.commit import Refused, Told, Work
from services.runtime.database import AWAY
from services.runtime.ids import uuid7
from tests.e2e.shopper import eventually
from tests.integration.commits import EPOCH, Desk, buy, desk, new_customer, new_stock, prepare

YES, BUSY = Told(vote="yes"), Told(vote="busy")


@pytest.fixture
async def inventory(native: Stack) -> AsyncIterator[Desk]:
    async with desk(native, "inventory") as opened:
        yield opened


async def lone_votes(native: Stack, statement: str, *, swallow: bool = False) -> tuple[Told, list[str]]:
    """How a participant votes whose work is one statement, and what is prepared then."""

    async def work(sql: asyncpg.Connection, works: Sequence[Work]) -> Sequence[Refused]:
        try:
            await sql.execute(statement)
        except asyncpg.PostgresError:
            if not swallow:
                raise
        return []

    participant, transaction = Desk(native, "inventory", work), uuid7()
    told = await participant.vote(transaction, buy({}))
    prepared = await participant.prepared(transaction)
    assert await participant.fetch("SELECT 1") == [(1,)]
    await participant.route.participant.close()
    return told, prepared


async def test_a_prepare_of_a_failed_transaction_raises_nothing_and_is_no_yes(
    native: Stack, inventory: Desk
) -> None:
    """Its command tag is ROLLBACK."""
    assert await lone_votes(native, "SELECT 1/0", swallow=True) == (BUSY, [])


@pytest.mark.parametrize(
    "statement",
    ["NOTIFY anybody", "CREATE TEMP TABLE t (n int)", "DECLARE c CURSOR WITH HOLD FOR SELECT 1"],
)
async def test_what_cannot_be_prepared_is_no_yes(native: Stack, inventory: Desk, statement: str) -> None:
    assert await lone_votes(native, statement) == (BUSY, [])


async def test_a_prepared_transaction_and_its_locks_survive_the_death_of_its_server(
    native: Stack, inventory: Desk
) -> None:
    sku, transaction = await new_stock(inventory, 5), uuid7()
    assert await inventory.vote(transaction, buy({sku: 2})) == YES
    pid = native.supervisor.pid("pg-inventory")
    native.supervisor.signal("pg-inventory", "KILL")

    async def is_back() -> bool:
        if native.supervisor.pid("pg-inventory") in (0, pid):
            return False
        try:
            return await inventory.prepared(transaction) != []
        except (*AWAY, asyncpg.PostgresError):
            return False

    await eventually(is_back, True)
    assert await inventory.stock(sku) == (5, 0, 0), "plain reads see the old rows"
    assert await inventory.fetch("SELECT sku FROM stock FOR UPDATE SKIP LOCKED") == [], "these see none"
    holders = (
        "SELECT DISTINCT pid FROM pg_locks WHERE relation = 'stock'::regclass AND mode = 'RowExclusiveLock'"
    )
    assert await inventory.fetch(holders) == [(None,)], "a lock that no session holds"
    assert await inventory.vote(uuid7(), buy({sku: 1})) == BUSY
    assert (await inventory.say("commit", transaction)).state == "committed"
    assert await inventory.stock(sku) == (3, 0, 2)
    native.wait_ready("pg-inventory", "inventory-1", "inventory-2")


async def test_an_insert_of_the_same_key_waits_for_a_prepared_one_even_if_it_would_do_nothing(
    inventory: Desk,
) -> None:
    """So whoever inserts a key that may be in doubt has to bound its wait, as BURY does."""
    transaction = uuid7()
    assert await inventory.vote(transaction, buy({await new_stock(inventory, 5): 1})) == YES
    insert = f"INSERT INTO branches VALUES ('{transaction}', 1, 1, 'aborted') ON CONFLICT DO NOTHING"
    with pytest.raises(asyncpg.LockNotAvailableError):
        async with inventory.database.transaction() as sql:
            await sql.execute("SET LOCAL lock_timeout = 50")
            await sql.execute(insert)


async def test_at_the_cap_a_vote_is_busy_and_the_next_one_counts_again(inventory: Desk) -> None:
    [(cap,)] = await inventory.fetch("SELECT current_setting('max_prepared_transactions')::int")
    assert isinstance(cap, int) and cap >= 50, "the setting is there: its default is 0"
    transaction, sku = uuid7(), await new_stock(inventory, 5)
    filled = 0
    async with inventory.database.connection() as sql:
        try:
            while filled < cap:
                script = f"BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'fill:{filled}/{EPOCH}/1'"
                await sql.execute(script)
                filled += 1
        except asyncpg.InsufficientResourcesError as error:
            assert error.sqlstate in ("53200", "53400")
            await sql.execute("ROLLBACK")
        assert await inventory.vote(transaction, buy({sku: 1})) == BUSY
        for number in range(filled):
            await sql.execute(f"ROLLBACK PREPARED 'fill:{number}/{EPOCH}/1'")
    assert await inventory.vote(transaction, buy({sku: 1}), number=2) == YES


async def test_a_connection_on_which_work_failed_is_clean_for_its_next_borrower(
    native: Stack, inventory: Desk
) -> None:
    """A hand-written BEGIN leaks the open transaction to whoever comes next, unless it is ended by hand."""
    sku = await new_stock(inventory, 10_000)
    failing = ["SELECT 1/0", "SELECT pg_terminate_backend(pg_backend_pid())", ""]

    async def work(sql: asyncpg.Connection, works: Sequence[Work]) -> Sequence[Refused]:
        [line] = works[0].lines
        if line.quantity < 3:
            await sql.execute(failing[line.quantity - 1])
        return [Refused(works[0].order_id, "so-be-it")] if line.quantity == 3 else []

    participant = Desk(native, "inventory", work)
    for quantity in (1, 2, 3) * 5:
        try:
            told = await participant.vote(uuid7(), buy({sku: quantity}))
            assert told.vote == ("no" if quantity == 3 else "busy")
        except AWAY:
            assert quantity == 2, "only of who lost its connection is it unknown how it voted"
    open_ones = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'
    """
    assert await participant.fetch(open_ones) == [(0,)]
    votes = await participant.ask(*(prepare(uuid7(), buy({sku: 4})) for _ in range(20)))
    assert votes == [YES] * 20
    await participant.route.participant.close()


async def test_two_that_prepare_on_two_servers_in_opposite_order_end_as_busy_and_not_for_ever(
    native: Stack, inventory: Desk
) -> None:
    """No single Postgres can see this deadlock: each waits on one server for what the other has elsewhere."""
    async with desk(native, "payment") as payment:
        sku, customer = await new_stock(inventory, 5), await new_customer(payment, 10_000)
        first, second = uuid7(), uuid7()
        works = {id: buy({sku: 1}, customer=customer) for id in (first, second)}
        assert await inventory.vote(first, works[first]) == YES
        assert await payment.vote(second, works[second]) == YES
        async with asyncio.timeout(5):
            votes = await asyncio.gather(
                payment.vote(first, works[first]), inventory.vote(second, works[second])
            )
        assert [*votes] == [BUSY, BUSY]
        for each in (inventory, payment):
            assert (await each.say("abort", second)).state == "aborted"
        assert await payment.vote(first, works[first], number=2) == YES


async def test_a_deadlock_within_one_server_makes_a_vote_busy(native: Stack, inventory: Desk) -> None:
    skus = [await new_stock(inventory, 5) for _ in range(2)]
    both = asyncio.Barrier(2)

    async def work(sql: asyncpg.Connection, works: Sequence[Work]) -> Sequence[Refused]:
        first, second = works[0].lines
        await sql.execute("SELECT FROM stock WHERE sku = $1 FOR UPDATE", first.sku)
        await both.wait()
        await sql.execute("SELECT FROM stock WHERE sku = $1 FOR UPDATE", second.sku)
        return []

    crossing = Desk(native, "inventory", work)
    orders = ({skus[0]: 1, skus[1]: 1}, {skus[1]: 1, skus[0]: 1})
    votes = await crossing.ask(*(prepare(uuid7(), buy(items)) for items in orders))
    assert BUSY in votes
    await crossing.route.participant.close()
