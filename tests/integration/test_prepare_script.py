"""A prepare in one round trip: the script of the usual case does what the work does, or nothing."""

from collections.abc import Sequence

import asyncpg
import msgspec
import pytest

from infra.native import Stack
from services.contract.commit import Refused, Told, Work
from services.runtime.ids import uuid7
from tests.integration.commits import PARTICIPATION, Desk, buy, cancel, desk

YES = Told(vote="yes")

HOSTILE = "o'neill\\'; DROP TABLE branches; --"

STATE = {
    "inventory": """
        SELECT s.sku, s.on_hand, s.held, s.sold, h.quantity, h.state
        FROM stock s LEFT JOIN holds h USING (sku) ORDER BY 1
    """,
    "payment": """
        SELECT a.account_id, a.balance, t.kind, t.amount, array_agg((e.account_id, e.amount)::text ORDER BY 1)
        FROM accounts a, transfers t JOIN entries e USING (transfer_id, kind) GROUP BY 1, 2, 3, 4 ORDER BY 1
    """,
}


async def never(sql: asyncpg.Connection, works: Sequence[Work]) -> Sequence[Refused]:
    raise AssertionError("more than one round trip")


async def fill(desk: Desk) -> None:
    async with desk.database.connection() as sql:
        if "inventory" in desk.url:
            await sql.execute("TRUNCATE stock, holds")
            insert = "INSERT INTO stock (sku, on_hand, received) VALUES ($1, 5, 5)"
            await sql.executemany(insert, [("lamp",), (HOSTILE,)])
        else:
            await sql.execute("TRUNCATE accounts, transfers, entries")
            insert = "INSERT INTO accounts (account_id, kind, currency, balance) VALUES ($1, $2, 'EUR', 500)"
            await sql.execute(insert, HOSTILE, "customer")


async def after(desk: Desk, bought: Work) -> list[tuple[object, ...]]:
    await fill(desk)
    transaction = uuid7()
    assert await desk.vote(transaction, bought) == YES
    assert (await desk.say("commit", transaction)).state == "committed"
    return await desk.fetch(STATE["inventory" if "inventory" in desk.url else "payment"])


@pytest.mark.parametrize("service", ["inventory", "payment"])
async def test_a_script_does_what_the_work_does(native: Stack, service: str) -> None:
    ours = PARTICIPATION[service]
    bought = buy({HOSTILE: 2, "lamp": 5}, customer=HOSTILE, amount=500)
    async with desk(native, service, never, ours.script) as at_once:
        by_script = await after(at_once, bought)
    async with desk(native, service, ours.work) as step_by_step:
        assert await after(step_by_step, bought) == by_script
    assert len(by_script) == (2 if service == "inventory" else 1), "it has done something"


@pytest.mark.parametrize(
    ("service", "bought", "reason"),
    [
        ("inventory", buy({"lamp": 6, HOSTILE: 1}), "out-of-stock"),
        ("inventory", buy({"lamp": 1, "nowhere": 1}), "unknown-sku"),
        ("payment", buy({}, customer=HOSTILE, amount=501), "insufficient-funds"),
        ("payment", buy({}, customer="nobody"), "unknown-customer"),
        ("payment", msgspec.structs.replace(buy({}, customer=HOSTILE), currency="USD"), "currency-mismatch"),
        ("order", buy({}), "not-pending"),
    ],
)
async def test_what_a_script_cannot_do_is_refused_with_its_reason(
    native: Stack, service: str, bought: Work, reason: str
) -> None:
    ours = PARTICIPATION[service]
    async with desk(native, service) as opened:
        if service != "order":
            await fill(opened)
        transaction = uuid7()
        told = await opened.vote(transaction, bought)
        assert (told.vote, [refusal.reason for refusal in told.refusals]) == ("no", [reason])
        assert await opened.prepared(transaction) == []
    async with desk(native, service, never, ours.script) as by_script_alone:
        if service != "order":
            await fill(by_script_alone)
        assert await by_script_alone.vote(uuid7(), bought) == Told(vote="busy"), "the work had to be asked"


async def test_an_order_is_charged_once_whatever_the_transaction(native: Stack) -> None:
    async with desk(native, "payment") as payment:
        await fill(payment)
        bought, first = buy({}, customer=HOSTILE, amount=100), uuid7()
        assert await payment.vote(first, bought) == YES
        assert (await payment.say("commit", first)).state == "committed"
        assert (await payment.vote(uuid7(), bought)).vote == "busy"
        assert await payment.fetch("SELECT balance FROM accounts") == [(400,)]


@pytest.mark.parametrize("service", PARTICIPATION)
async def test_groups_and_cancellations_have_no_script(native: Stack, service: str) -> None:
    asked: list[Work] = []

    def script(work: Work) -> str:
        asked.append(work)
        return ""

    one = buy({"lamp": 1})
    async with desk(native, service, never, script) as opened:
        for works in ([one], [buy({"lamp": 1}), buy({"lamp": 1})], [cancel(uuid7())]):
            assert await opened.vote(uuid7(), *works) == Told(vote="busy"), "the work had to be asked"
    assert asked == [one]
    assert PARTICIPATION[service].script(one)
