"""What the three services do in a commit, and whom a transaction in doubt holds up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from infra.native import Stack
from services.contract import topics
from services.contract.commit import Told
from services.contract.messages import Line
from services.order import store
from services.order.answers import Answers
from services.order.api import OrderRoutes
from services.order.participation import Waiting
from services.order.placing import Placed, Placing, confirmed
from services.payment import store as ledger
from services.payment.model import deposit_entries
from services.payment.store import Transfer
from services.runtime import idempotency
from services.runtime.bus import Producer
from services.runtime.group_commit import GroupCommit
from services.runtime.idempotency import Record
from services.runtime.ids import uuid7
from services.runtime.outbox import Outbox
from services.runtime.problems import Problem
from services.runtime.shortcuts import Shortcuts
from tests.integration.commits import Desk, buy, cancel, desk, new_customer, new_stock

YES, BUSY = Told(vote="yes"), Told(vote="busy")


@pytest.fixture
async def payment(native: Stack) -> AsyncIterator[Desk]:
    async with desk(native, "payment") as opened:
        yield opened


@pytest.fixture
async def inventory(native: Stack) -> AsyncIterator[Desk]:
    async with desk(native, "inventory") as opened:
        yield opened


@pytest.fixture
async def orders(native: Stack) -> AsyncIterator[Desk]:
    async with desk(native, "order") as opened:
        yield opened


@pytest.fixture
async def answers(stack: dict[str, Any], orders: Desk) -> AsyncIterator[Answers]:
    shortcuts = Shortcuts(stack["redis_url"])
    opened = Answers(shortcuts, orders.database)
    yield opened
    await asyncio.gather(*opened._tasks)  # or Redis is connected to anew, and nobody closes that
    await shortcuts.close()


async def commit(desk: Desk, transaction: str) -> None:
    assert (await desk.say("commit", transaction)).state == "committed"


async def balance(payment: Desk, customer: str) -> object:
    [(found,)] = await payment.fetch("SELECT balance FROM accounts WHERE account_id = $1", customer)
    return found


async def new_order(orders: Desk, answers: Answers, customer: str = "ann") -> Record:
    """A PENDING order for which somebody waits: its key's record."""
    request_id, order_id, outbox = (
        str(uuid4()),
        uuid7(),
        Outbox("test", orders.database, Producer("none:1", 1)),
    )
    lines = (Line("lamp", 1, 500),)
    record = Record(request_id, b"same", order_id, None, confirmed(order_id, 500, "EUR", lines))
    async with outbox.transaction() as tx:
        await idempotency.claim(tx.sql, [record])
        store.insert(tx, [store.NewOrder(order_id, customer, "2pc", 500, "EUR", request_id, lines)])
    return record


async def status(orders: Desk, record: Record) -> tuple[object, ...]:
    """Of the order, and of the answer."""
    query = """
        SELECT o.status, i.status FROM orders o JOIN idempotency i ON i.id = o.request_id
        WHERE o.order_id = $1::uuid
    """
    [row] = await orders.fetch(query, record.subject)
    return row


async def test_orders_of_one_transaction_are_charged_from_what_those_before_them_left(payment: Desk) -> None:
    customer, transaction = await new_customer(payment, 1200), uuid7()
    works = [buy({}, customer=customer, amount=amount) for amount in (1000, 500, 200)]
    told = await payment.vote(transaction, *works, buy({}, customer="nobody"))
    assert [(r.order_id == works[1].order_id, r.reason) for r in told.refusals] == [
        (True, "insufficient-funds"),
        (False, "unknown-customer"),
    ]
    assert await payment.vote(transaction, works[0], works[2], number=2) == YES
    assert await balance(payment, customer) == 1200
    assert (await payment.say("commit", transaction, 2)).state == "committed"
    assert await balance(payment, customer) == 0


async def test_what_was_charged_is_paid_back_to_whom_it_was_charged(payment: Desk) -> None:
    customer, first, second = await new_customer(payment, 1000), uuid7(), uuid7()
    bought = buy({}, customer=customer, amount=600)
    assert await payment.vote(first, bought) == YES
    await commit(payment, first)
    assert await payment.vote(second, cancel(bought.order_id), buy({}, customer=customer, amount=300)) == YES
    await commit(payment, second)
    assert await balance(payment, customer) == 700
    kinds = (
        "SELECT kind, sum(amount)::int FROM entries WHERE account_id = 'revenue:EUR' GROUP BY 1 ORDER BY 1"
    )
    assert await payment.fetch(kinds) == [("charge", 900), ("refund", -600)]


async def test_a_charge_in_doubt_is_not_taken_for_none_by_a_cancellation(payment: Desk) -> None:
    """It was decided, and the order service has confirmed the order, before this one heard of it."""
    customer, first, second = await new_customer(payment, 1000), uuid7(), uuid7()
    bought = buy({}, customer=customer, amount=600)
    assert await payment.vote(first, bought) == YES
    assert await payment.vote(second, cancel(bought.order_id)) == BUSY
    await commit(payment, first)
    assert await balance(payment, customer) == 400
    assert await payment.vote(second, cancel(bought.order_id), number=2) == YES
    assert (await payment.say("commit", second, 2)).state == "committed"
    assert await balance(payment, customer) == 1000


async def test_goods_in_doubt_are_not_taken_for_none_by_a_cancellation(inventory: Desk) -> None:
    sku, first, second = await new_stock(inventory, 10), uuid7(), uuid7()
    bought = buy({sku: 4})
    assert await inventory.vote(first, bought) == YES
    assert await inventory.vote(second, cancel(bought.order_id)) == BUSY
    await commit(inventory, first)
    assert await inventory.stock(sku) == (6, 0, 4)
    assert await inventory.vote(second, cancel(bought.order_id), number=2) == YES
    assert (await inventory.say("commit", second, 2)).state == "committed"
    assert await inventory.stock(sku) == (10, 0, 0)


async def test_a_charge_in_doubt_holds_up_no_other_customer(payment: Desk) -> None:
    first, second = await new_customer(payment, 1000), await new_customer(payment, 1000)
    assert await payment.vote(uuid7(), buy({}, customer=first)) == YES
    async with payment.database.transaction() as sql:
        await sql.execute("SET LOCAL lock_timeout = '1s'")
        await ledger.post(sql, [Transfer(uuid7(), "deposit", 5, deposit_entries(second, 5, "EUR"))])
    assert await payment.vote(uuid7(), buy({}, customer=second)) == YES


async def test_an_order_is_confirmed_with_its_answer_and_only_once(orders: Desk, answers: Answers) -> None:
    record, transaction = await new_order(orders, answers), uuid7()
    assert record.subject
    assert await orders.vote(transaction, buy({}, order_id=record.subject)) == YES
    assert await status(orders, record) == ("PENDING", None)
    await commit(orders, transaction)
    assert await status(orders, record) == ("CONFIRMED", 201)
    told = await orders.vote(uuid7(), buy({}, order_id=record.subject), buy({}))
    assert [refusal.reason for refusal in told.refusals] == ["not-pending"] * 2


async def test_an_order_is_cancelled_only_if_somebody_asked_for_it(orders: Desk, answers: Answers) -> None:
    record, transaction = await new_order(orders, answers), uuid7()
    assert record.subject
    assert await orders.vote(transaction, buy({}, order_id=record.subject)) == YES
    await commit(orders, transaction)
    assert (await orders.vote(uuid7(), cancel(record.subject))).vote == "no"
    await orders.fetch(store.REQUEST_CANCEL, record.subject)
    transaction = uuid7()
    assert await orders.vote(transaction, cancel(record.subject)) == YES
    await commit(orders, transaction)
    assert await status(orders, record) == ("CANCELLED", 201)


async def test_who_waits_hears_of_the_commit_whichever_replica_prepared_it(
    native: Stack, orders: Desk, answers: Answers
) -> None:
    record, transaction = await new_order(orders, answers), uuid7()
    assert record.subject
    assert await orders.vote(transaction, buy({}, order_id=record.subject)) == YES
    replica = Desk(native, "order")
    replica.route.participant._committed = Waiting(orders.database, answers).committed
    waiting = asyncio.create_task(answers.wait(record.id, 10))
    await commit(replica, transaction)
    heard = await waiting
    assert heard and (heard.status, heard.body) == (201, record.body)
    await replica.route.participant.close()


async def test_a_repetition_of_a_key_in_doubt_holds_up_nobody(orders: Desk, answers: Answers) -> None:
    """Its row is part of a prepared transaction, and ON CONFLICT DO NOTHING would wait for that."""
    record = await new_order(orders, answers)
    assert record.subject
    assert await orders.vote(uuid7(), buy({}, order_id=record.subject)) == YES
    new = Record(str(uuid4()), b"", uuid7(), 202, "")
    async with orders.database.transaction() as sql:
        await sql.execute("SET LOCAL lock_timeout = '1s'")
        assert await idempotency.claim(sql, [record, new]) == {new.id}


async def test_nothing_is_promised_to_who_gives_up_waiting_for_an_order_in_doubt(
    stack: dict[str, Any], orders: Desk, answers: Answers
) -> None:
    record, transaction = await new_order(orders, answers), uuid7()
    assert record.subject
    assert await orders.vote(transaction, buy({}, order_id=record.subject)) == YES
    outbox = Outbox("test", orders.database, Producer("none:1", topics.PARTITIONS))
    place = Placing("test", orders.database, outbox, answers).commit
    routes = OrderRoutes("test", orders.database, outbox, answers, GroupCommit(place), None)  # type: ignore[arg-type]
    with pytest.raises(Problem) as raised:
        await routes._outcome(Placed(record, first=True), wait_s=1)
    assert raised.value.status == 409
    await commit(orders, transaction)
    assert (await routes._outcome(Placed(record, first=False), wait_s=0)).status == 201
