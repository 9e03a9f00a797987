"""Every message of every topic once more, from offset zero; also a command, to do it to a running stack."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from lab import state
from lab.screen import out
from services.contract import topics
from tests.e2e.shopper import eventually

REPLAYED = (
    topics.ORDER_COMMANDS,
    topics.PAYMENT_COMMANDS,
    topics.INVENTORY_COMMANDS,
    topics.SAGAS,
    topics.CATALOGUE_EVENTS,
)

GROUPS = {
    "order": topics.ORDER_COMMANDS,
    "payment": topics.PAYMENT_COMMANDS,
    "inventory": topics.INVENTORY_COMMANDS,
    "orchestrator": topics.SAGAS,
    "order-catalogue": topics.CATALOGUE_EVENTS,
}

# None tells of an effect: rows come and go with every message, owners with every rebalance, time goes by.
BOOKKEEPING = {"outbox", "fences", "awake", "alembic_version"}


async def replay_everything(bootstrap: str, most: int | None = None) -> int:
    """Appends copies of all messages, or of the first `most` a partition; returns how many."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    await consumer.start()
    await producer.start()
    try:
        partitions = [TopicPartition(topic, n) for topic in REPLAYED for n in range(topics.PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        if most is not None:
            ends = {p: min(end, begins[p] + most) for p, end in ends.items()}
        await consumer.seek_to_beginning(*partitions)
        copied = 0
        while await _unread(consumer, ends):
            for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    if record.offset < ends[partition]:
                        await producer.send(
                            record.topic, record.value, key=record.key, partition=record.partition
                        )
                        copied += 1
        await producer.flush()
        return copied
    finally:
        await producer.stop()
        await consumer.stop()


async def _unread(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return True
    return False


async def all_read(bootstrap: str) -> bool:
    """Whether every consumer group has committed everything there is."""
    for group in GROUPS:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
        await consumer.start()
        try:
            partitions = [TopicPartition(GROUPS[group], n) for n in range(topics.PARTITIONS)]
            ends = await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            for partition in partitions:
                if (await consumer.committed(partition) or 0) < ends[partition]:
                    return False
        finally:
            await consumer.stop()
    return True


async def forget_offsets(bootstrap: str) -> None:
    """Every group begins at zero again; its members must be away."""
    for group, topic in GROUPS.items():
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, n) for n in range(topics.PARTITIONS)]
            consumer.assign(partitions)
            await consumer.commit(dict.fromkeys(partitions, 0))
        finally:
            await consumer.stop()


async def digests(databases: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """A digest of the rows of every table that tells of an effect."""
    found: dict[str, str] = {}
    for name, dsns in databases.items():
        connection: Any = await asyncpg.connect(dsns["audit"])
        try:
            rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in rows:
                if table not in BOOKKEEPING:
                    query = f"SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {table} t"
                    found[f"{name}.{table}"] = await connection.fetchval(query)
        finally:
            await connection.close()
    return found


async def main() -> None:
    kafka = state.load().kafka
    copied = await replay_everything(kafka)
    out.print(f"{copied:,} messages sent once more …")
    await eventually(partial(all_read, kafka), True, within_s=600)
    out.print("… and all of them have been read.")


if __name__ == "__main__":
    asyncio.run(main())
