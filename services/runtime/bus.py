"""Kafka, as batches in and batches out, rebuilt whenever it breaks.

Delivery is at least once and nothing here tries for more: receivers are idempotent (inbox, sagas that
ignore what they know), so a plain producer with acks=all is enough and Kafka transactions are not used.
"""

import asyncio
import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

import structlog
from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    ConsumerRecord,
    TopicPartition,
)
from aiokafka.errors import KafkaError

from services.runtime.envelope import Outgoing, shard_of
from services.runtime.pace import Pace

log = structlog.get_logger()

BATCH = 500
"""Records handled in one transaction: large enough to share its cost, small enough to take well below
the `max_poll_interval` after which Kafka takes the partitions away (aiokafka#848)."""

LONGEST_FETCH_MS = 100
"""aiokafka has one fetch under way for all partitions of a consumer, and asks for those alone whose records
it has handed over. While it waits at the broker for a quiet one, records of a busy one wait for it."""

COMMIT_EVERY_S = 0.25
"""Offsets are committed behind the work's back: what is read twice is recognised by its receiver."""

STUCK_AFTER_S = 20.0
"""A consumer that has a backlog and has read nothing for so long is rebuilt (aiokafka#625, #1154)."""

Record: TypeAlias = "ConsumerRecord[bytes | None, bytes | None]"

LAST_CALL_S = 0.003


class Producer:
    """Sends batches; a batch is either acknowledged by Kafka or the call raises and may be repeated."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self._bootstrap = bootstrap
        self._partitions = partitions
        self._producer: AIOKafkaProducer | None = None

    async def send(self, messages: Iterable[Outgoing]) -> None:
        """Returns when all are acknowledged. Raises KafkaError or OSError: then any of them may have gone."""
        try:
            await self._send(messages)
        except (KafkaError, OSError, TimeoutError):
            await self.close()
            raise

    async def _send(self, messages: Iterable[Outgoing]) -> None:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                acks="all",
                max_batch_size=900_000,
                request_timeout_ms=10_000,
            )
            await producer.start()
            self._producer = producer
        by_partition: dict[TopicPartition, list[Outgoing]] = defaultdict(list)
        for message in messages:
            partition = shard_of(message.subject, self._partitions)
            by_partition[TopicPartition(message.topic, partition)].append(message)
        acknowledged = []
        for (topic, partition), group in by_partition.items():
            acknowledged += await self._send_to_partition(self._producer, topic, partition, group)
        await asyncio.gather(*acknowledged)

    async def _send_to_partition(
        self, producer: AIOKafkaProducer, topic: str, partition: int, group: Sequence[Outgoing]
    ) -> list[Awaitable[object]]:
        batch = producer.create_batch()
        acknowledged: list[Awaitable[object]] = []
        for message in group:
            key, value = message.subject.encode(), message.value
            if batch.append(key=key, value=value, timestamp=None) is None:  # full
                acknowledged.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        acknowledged.append(await producer.send_batch(batch, topic, partition=partition))
        return acknowledged

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(producer.stop(), 5)


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, consumer: "Consumer") -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing to hand over: whoever comes next repeats what was not committed."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._consumer.generation += 1
        if self._consumer.assigned is not None:
            await self._consumer.assigned({partition.partition for partition in assigned})


class Consumer:
    """Feeds one topic to `handle`, batch after batch, as a member of a consumer group.

    Promises at-least-once delivery: offsets move only past batches that `handle` returned from. When
    anything breaks, Kafka or the handling, the consumer is rebuilt from the committed offsets.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        group: str,
        handle: Callable[[Sequence[Record]], Awaitable[None]],
        assigned: Callable[[set[int]], Awaitable[None]] | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._group = group
        self._handle = handle
        self.assigned = assigned
        self.generation = 0
        self.is_attached = False

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                await self._attach()
            except Exception as error:  # whatever it was, the next consumer starts from what is committed
                log.warning("consumer rebuilt", topic=self._topic, error=repr(error))
            finally:
                self.is_attached = False
            await asyncio.sleep(random.uniform(0.2, 1.0))

    async def _attach(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=6_000,
            heartbeat_interval_ms=2_000,
            max_poll_interval_ms=60_000,
            fetch_max_wait_ms=LONGEST_FETCH_MS,
        )
        consumer.subscribe([self._topic], listener=_Assignments(self))
        try:
            await consumer.start()
            self.is_attached = True
            await self._pump(consumer)
        finally:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(consumer.stop(), 5)

    async def _pump(self, consumer: AIOKafkaConsumer) -> None:
        handled: dict[TopicPartition, int] = {}
        generation = self.generation
        committing: asyncio.Task[None] | None = None
        committed_at = looked_at = time.monotonic()
        pace = Pace()
        while True:
            records = await self._read(consumer, pace.not_before)
            now = time.monotonic()
            if records:
                with pace.batch(len(records)):
                    await self._handle(records)
                handled.update({TopicPartition(r.topic, r.partition): r.offset + 1 for r in records})
                looked_at = now
            elif now - looked_at > STUCK_AFTER_S:
                await self._check_progress(consumer)
                looked_at = now
            if generation != self.generation:  # other partitions by now, read anew from what is committed
                handled, generation = {}, self.generation
            if handled and now - committed_at > COMMIT_EVERY_S and (committing is None or committing.done()):
                committing = asyncio.create_task(self._commit(consumer, handled))
                handled, committed_at = {}, now

    async def _read(self, consumer: AIOKafkaConsumer, not_before: float) -> list[Record]:
        """A batch, or nothing for a quarter of a second.

        What aiokafka has at hand it fetched when the last batch was taken, and it fetches nothing more until
        that is taken too. So a batch is what came until `not_before`, in two helpings.
        """
        records = _flat(await consumer.getmany(timeout_ms=250, max_records=BATCH))
        rest_s = not_before - time.monotonic()
        if len(records) > 1 or rest_s > 0:
            await asyncio.sleep(max(rest_s, LAST_CALL_S))
            if len(records) < BATCH:
                records += _flat(await consumer.getmany(max_records=BATCH - len(records)))
        return records

    async def _commit(self, consumer: AIOKafkaConsumer, handled: dict[TopicPartition, int]) -> None:
        """A failure is no news: after a rebalance the new owner reads these records again."""
        owned = consumer.assignment()
        offsets = {partition: offset for partition, offset in handled.items() if partition in owned}
        try:
            if offsets:
                await consumer.commit(offsets)
        except (KafkaError, OSError, TimeoutError) as error:
            log.info("offsets not committed", topic=self._topic, error=repr(error))

    async def _check_progress(self, consumer: AIOKafkaConsumer) -> None:
        partitions = consumer.assignment()
        ends = await consumer.end_offsets(partitions) if partitions else {}
        for partition, end in ends.items():
            if await consumer.position(partition) < end:
                raise TimeoutError(f"stuck before the end of {partition}")


def _flat(batches: dict[TopicPartition, list[Record]]) -> list[Record]:
    return [record for batch in batches.values() for record in batch]
