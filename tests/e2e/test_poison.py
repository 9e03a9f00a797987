"""Messages nobody can handle: put aside once, and in nobody's way."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import msgspec
from aiokafka import AIOKafkaProducer

from services.contract import topics
from services.runtime.envelope import shard_of
from tests.e2e.shopper import eventually, new_customer, new_product, order


def command(subject: str, **changes: Any) -> bytes:
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": f"{subject}/order.charge/1",
            "source": "/test",
            "type": "ChargeCard",
            "subject": subject,
            "time": "2026-11-23T12:00:00Z",
            "step": "order.charge",
            "refusable": True,
            "data": {"customer_id": "nobody", "amount": 1, "currency": "EUR"},
            **changes,
        }
    )


async def poison(stack: dict[str, Any], topic: str, messages: Sequence[bytes], key: str) -> list[int]:
    """Puts raw bytes on a topic and returns their offsets."""
    producer = AIOKafkaProducer(bootstrap_servers=stack["kafka"])
    await producer.start()
    try:
        partition = shard_of(key, topics.PARTITIONS)
        sent = [
            await producer.send_and_wait(topic, value, key=key.encode(), partition=partition)
            for value in messages
        ]
        return [record.offset for record in sent]
    finally:
        await producer.stop()


async def buried(stack: dict[str, Any], service: str, topic: str, key: str) -> list[int]:
    connection = await asyncpg.connect(stack["databases"][service]["audit"])
    try:
        query = 'SELECT "offset" FROM dead_letters WHERE topic = $1 AND key = $2 ORDER BY 1'
        return [row[0] for row in await connection.fetch(query, topic, key)]
    finally:
        await connection.close()


async def test_what_no_participant_can_read_is_buried_once(
    shop: httpx.AsyncClient, stack: dict[str, Any]
) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    order_id = (await order(shop, customer, {sku: 1}, wait=0)).json()["order_id"]
    bad = [
        b"",
        b"\xff\xfe",
        b"{}",
        b"[" * 5000,
        command(order_id, type="SellSoul"),
        command(order_id, data={"amount": "much"}),
        command(order_id, step=""),
        command("not a uuid"),
        command(order_id, data=None),
    ]
    offsets = await poison(stack, topics.PAYMENT_COMMANDS, bad, order_id)
    await eventually(partial(buried, stack, "payment", topics.PAYMENT_COMMANDS, order_id), offsets)
    assert (await order(shop, customer, {sku: 1})).status_code == 201, "its neighbours are not delayed"
    status = (await shop.get(f"/orders/{order_id}")).json()["status"]
    assert status == "CONFIRMED", "its order still ends"


async def test_what_no_saga_can_read_is_buried_once(shop: httpx.AsyncClient, stack: dict[str, Any]) -> None:
    key = str(uuid4())
    bad = [
        b"x",
        command(key),
        command(key, type="Answer", step="order.charge", data={"outcome": "maybe"}),
        command(key, type="Answer", step="walk.the.dog", data={"outcome": "done"}),
        command("x", type="Answer", step="order.charge", data={"outcome": "done"}),
    ]
    offsets = await poison(stack, topics.SAGAS, bad, key)
    await eventually(partial(buried, stack, "orchestrator", topics.SAGAS, key), offsets)


async def test_an_answer_to_a_saga_that_nobody_knows_changes_nothing(
    shop: httpx.AsyncClient, stack: dict[str, Any]
) -> None:
    stranger = str(uuid4())
    stray = command(stranger, type="Answer", step="order.charge", data={"outcome": "done"})
    await poison(stack, topics.SAGAS, [stray], stranger)
    sku, customer = await new_product(shop), await new_customer(shop)
    assert (await order(shop, customer, {sku: 1})).status_code == 201
    assert await buried(stack, "orchestrator", topics.SAGAS, stranger) == []


async def test_a_command_that_breaks_its_handler_is_refused_and_the_order_ends(
    shop: httpx.AsyncClient, stack: dict[str, Any]
) -> None:
    """An amount beyond what Postgres can hold: no check of ours catches it, the database does."""
    subject = str(uuid4())
    data = {"customer_id": await new_customer(shop), "amount": -(2**62), "currency": "EUR"}
    offsets = await poison(stack, topics.PAYMENT_COMMANDS, [command(subject, data=data)], subject)
    await eventually(partial(buried, stack, "payment", topics.PAYMENT_COMMANDS, subject), offsets)
    connection = await asyncpg.connect(stack["databases"]["payment"]["audit"])
    try:
        row = await connection.fetchrow("SELECT outcome, reason FROM inbox WHERE subject = $1::uuid", subject)
    finally:
        await connection.close()
    assert row is not None
    assert tuple(row) == ("refused", "dead-letter")
