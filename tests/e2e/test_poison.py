"""Messages nobody can handle: put aside once, and in nobody's way."""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError

from infra.native import Stack
from services.contract import topics
from services.runtime.envelope import shard_of
from tests.e2e.replay import all_read, digests
from tests.e2e.shopper import (
    balance_of,
    eventually,
    new_customer,
    new_product,
    order,
    status_of,
    stock_of,
)


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
    await eventually(partial(status_of, shop, order_id), "CONFIRMED")


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


async def deliver_again(stack: dict[str, Any], group: str, topic: str, key: str, offset: int) -> None:
    """Lets a group begin again at this message, as soon as Kafka knows that its members are gone."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stack["kafka"], group_id=group, enable_auto_commit=False)
    partition = TopicPartition(topic, shard_of(key, topics.PARTITIONS))

    async def rewound() -> bool:
        with contextlib.suppress(CommitFailedError):
            await consumer.commit({partition: offset})
        committed: int | None = await consumer.committed(partition)
        return committed == offset

    await consumer.start()
    try:
        consumer.assign([partition])
        await eventually(rewound, True)
    finally:
        await consumer.stop()


async def restart(native: Stack, *names: str) -> None:
    for name in names:
        native.supervisor.start(name)
    await asyncio.to_thread(native.wait_ready, *names)


async def test_poison_of_a_running_order_is_buried_once_however_often_it_comes_and_the_order_ends(
    native: Stack, shop: httpx.AsyncClient, stack: dict[str, Any]
) -> None:
    """A charge of less than nothing: no check of ours catches it, the database does."""
    sku, customer = await new_product(shop), await new_customer(shop)
    payment, orchestrator = ("payment-1", "payment-2"), ("orchestrator-1", "orchestrator-2")
    native.supervisor.stop(*payment, *orchestrator)
    order_id = (await order(shop, customer, {sku: 1}, wait=0)).json()["order_id"]
    data = {"customer_id": customer, "amount": -1, "currency": "EUR"}
    poisons = [command(order_id, data=data), command(order_id, type="SellSoul")]
    offsets = await poison(stack, topics.PAYMENT_COMMANDS, poisons, order_id)  # before the order's own charge
    await restart(native, *payment, *orchestrator)
    await eventually(partial(status_of, shop, order_id), "REFUSED")
    assert (await shop.get(f"/orders/{order_id}")).json()["reason"] == "dead-letter"
    assert await buried(stack, "payment", topics.PAYMENT_COMMANDS, order_id) == offsets
    assert await stock_of(shop, sku) == (10, 0, 0)
    assert await balance_of(shop, customer) == 10_000

    before = await digests({"payment": stack["databases"]["payment"]})
    native.supervisor.stop(*payment)
    await deliver_again(stack, "payment", topics.PAYMENT_COMMANDS, order_id, offsets[0])
    assert not await all_read(stack["kafka"])
    await restart(native, *payment)
    await eventually(partial(all_read, stack["kafka"]), True)
    assert await digests({"payment": stack["databases"]["payment"]}) == before
    assert await status_of(shop, order_id) == "REFUSED"
