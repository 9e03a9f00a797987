"""A consumer that shares its topic with others of its group."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.contract import topics
from services.runtime import bus
from services.runtime.bus import Consumer, Producer, Record
from services.runtime.envelope import Outgoing
from tests.e2e.shopper import eventually, pause
from tests.integration.loops import running

TOPIC = topics.DEAD_LETTERS
"""The one topic that no service reads."""

EVERY_SHARD = set(range(topics.PARTITIONS))


async def say(stack: dict[str, Any], run: str) -> set[str]:
    """Puts so many messages on the topic that each partition has some, and returns their keys."""
    producer = Producer(stack["kafka"], topics.PARTITIONS)
    messages = [Outgoing(TOPIC, f"{run}-{number}", b"") for number in range(40)]
    await producer.send(messages)
    await producer.close()
    return {message.subject for message in messages}


async def committed(stack: dict[str, Any], group: str) -> dict[int, int | None]:
    consumer = AIOKafkaConsumer(bootstrap_servers=stack["kafka"], group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        return {n: await consumer.committed(TopicPartition(TOPIC, n)) for n in EVERY_SHARD}
    finally:
        await consumer.stop()


class Member:
    """A consumer that remembers what it was given, and handles nothing until it is `free`."""

    def __init__(self, stack: dict[str, Any], group: str) -> None:
        self.assigned: list[set[int]] = []
        self.batches: list[set[tuple[int, int]]] = []
        self.keys: set[str] = set()
        self.free = asyncio.Event()
        self.consumer = Consumer(stack["kafka"], TOPIC, group, self._handle, self._assigned)

    async def _assigned(self, shards: set[int]) -> None:
        self.assigned.append(shards)

    async def _handle(self, records: Sequence[Record]) -> None:
        self.batches.append({(record.partition, record.offset) for record in records})
        await self.free.wait()
        self.keys |= {record.key.decode() for record in records if record.key}


async def test_members_of_a_group_share_the_shards_and_miss_nothing(stack: dict[str, Any]) -> None:
    group = f"test-{uuid4()}"
    one, other = Member(stack, group), Member(stack, group)
    for member in (one, other):
        member.free.set()

    async def shares() -> list[set[int]]:
        return [member.assigned[-1] if member.assigned else set() for member in (one, other)]

    async def shared() -> bool:
        mine, others = await shares()
        return bool(mine and others) and not mine & others and mine | others == EVERY_SHARD

    async def all_to_one() -> bool:
        return one.assigned[-1] == EVERY_SHARD

    async with running(one.consumer.run):
        await eventually(shares, [EVERY_SHARD, set()])
        async with running(other.consumer.run):
            await eventually(shared, True)
            keys = await say(stack, group)

            async def missed() -> set[str]:
                return keys - one.keys - other.keys

            await eventually(missed, set())
        await eventually(all_to_one, True)
    assert one.consumer.generation == len(one.assigned) >= 3


async def test_what_was_handled_before_a_rebalance_is_not_committed_after_it(
    stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again from what is committed, whoever owns it by now."""
    monkeypatch.setattr(bus, "COMMIT_EVERY_S", 0.0)
    group = f"test-{uuid4()}"
    await say(stack, group)
    one, other = Member(stack, group), Member(stack, group)

    async def seen() -> tuple[int, int, int]:
        return one.consumer.generation, other.consumer.generation, len(one.batches)

    async with running(one.consumer.run):
        await eventually(seen, (1, 0, 1))
        async with running(other.consumer.run):
            await eventually(seen, (2, 1, 1))
            one.free.set()
            one.free = asyncio.Event()
            await eventually(seen, (2, 1, 2))
            await pause(0.5)
            assert set((await committed(stack, group)).values()) == {None}
    assert one.batches[1] & one.batches[0]
