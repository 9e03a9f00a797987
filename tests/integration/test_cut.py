"""A reader's look at real databases: what is torn, what it leaves out, and which sums are off."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from lab import state
from lab.anomalies.counts import coordinated, plain
from lab.anomalies.cut import Cut, Effect, Sight, look
from lab.databases import Databases, connected
from tests.integration.damages import ORDER, REQUEST, SET_ORDER, filled, plant

EVER = UUID(int=0)
THERE, NONE, UNDONE = Effect.THERE, Effect.NONE, Effect.UNDONE
GID = f"2pc:{REQUEST}/1/1"
TABLES = {
    "order": "orders, order_lines, idempotency, inbox",
    "payment": "accounts, transfers, entries, inbox",
    "inventory": "products, stock, holds, inbox",
    "orchestrator": "sagas, transaction_orders",
}


@pytest_asyncio.fixture
async def planted(quiet: state.Stack) -> AsyncIterator[Databases]:
    """A confirmed order, committed, for the reader has transactions of its own."""
    async with connected(quiet, state.SERVICES, "owner") as found:
        try:
            await plant(found)
            yield found
        finally:
            for name, tables in TABLES.items():
                for (gid,) in await found[name].fetch(
                    "select gid from pg_prepared_xacts where database = current_database()"
                ):
                    await found[name].execute(f"rollback prepared '{gid}'")
                await found[name].execute(f"truncate {tables}")


async def say(databases: Databases, database: str, *statements: str) -> None:
    for statement in statements:
        await databases[database].execute(filled(statement))


async def prepare(databases: Databases, database: str, statement: str) -> None:
    """Takes the order's effect back for now: it will be there again when this is committed."""
    await say(databases, database, "begin", statement, f"prepare transaction '{GID}'")


def torn(cut: Cut) -> tuple[bool, bool]:
    """To a plain reader, and to a coordinated one."""
    seen = [reader(cut).get(ORDER, Sight()).torn for reader in (plain, coordinated)]
    return seen[0], seen[1]


@pytest.mark.asyncio
@pytest.mark.parametrize("first", range(3))
async def test_a_whole_order_is_seen_whole_and_the_sums_are_right(planted: Databases, first: int) -> None:
    cut = await look(planted, EVER, first)
    assert cut.sights == {ORDER: Sight(THERE, THERE, THERE)}
    assert (cut.off, cut.in_doubt) == ((), frozenset())
    assert plain(cut) == coordinated(cut) == cut.sights


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("database", "statement", "seen"),
    [
        ("payment", "delete from transfers where kind = 'charge'", Sight(THERE, THERE, NONE)),
        ("inventory", "delete from holds", Sight(THERE, NONE, THERE)),
        ("order", SET_ORDER("status = 'PENDING', ended_at = null"), Sight(NONE, THERE, THERE)),
        ("order", "delete from orders", Sight(NONE, THERE, THERE)),
    ],
)
async def test_what_one_service_does_not_have_is_torn_to_every_reader(
    planted: Databases, database: str, statement: str, seen: Sight
) -> None:
    await say(planted, database, statement)
    cut = await look(planted, EVER)
    assert cut.sights[ORDER] == seen
    assert torn(cut) == (True, True)


@pytest.mark.asyncio
async def test_what_was_undone_is_seen_as_undone(planted: Databases) -> None:
    refund = "insert into transfers (transfer_id, kind, amount) values ('{order}', 'refund', 600)"
    await say(planted, "payment", refund)
    await say(planted, "inventory", "update holds set state = 'released'")
    await say(planted, "order", SET_ORDER("status = 'PENDING', ended_at = null"))
    cut = await look(planted, EVER)
    assert cut.sights[ORDER] == Sight(NONE, UNDONE, UNDONE)
    assert torn(cut) == (False, False)


@pytest.mark.asyncio
async def test_what_is_prepared_somewhere_a_coordinated_reader_leaves_out(planted: Databases) -> None:
    insert = "insert into holds (order_id, sku, quantity, state) values ('{order}', 'xts-lamp', 2, 'shipped')"
    await say(planted, "inventory", "delete from holds")
    await prepare(planted, "inventory", insert)
    unknown = await look(planted, EVER)
    assert torn(unknown) == (True, True), "a prepared transaction of nobody's excuses nothing"
    claim = "insert into transaction_orders values ('{order}', 'buy', '{request}')"
    await say(planted, "orchestrator", claim)
    cut = await look(planted, EVER)
    assert cut.in_doubt == {ORDER}
    assert torn(cut) == (True, False)
    await planted["inventory"].execute(f"commit prepared '{GID}'")
    assert torn(await look(planted, EVER)) == (False, False)


@pytest.mark.asyncio
async def test_orders_from_before_the_load_are_not_looked_at(planted: Databases) -> None:
    assert (await look(planted, UUID(int=ORDER.int + 1))).sights == {}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("database", "statement"),
    [
        ("payment", "update accounts set balance = balance + 1 where account_id = 'ann'"),
        ("payment", "update entries set amount = amount + 1 where account_id = 'bank:XTS'"),
        ("inventory", "update stock set sold = sold - 1, on_hand = on_hand + 1"),
        ("inventory", "update holds set state = 'held'"),
    ],
)
async def test_a_sum_that_is_off_is_found(planted: Databases, database: str, statement: str) -> None:
    await say(planted, database, statement)
    assert (await look(planted, EVER)).off == (database,)
