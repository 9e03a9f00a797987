"""A server that lives and does not work is started again without hands."""

import asyncio
from typing import Any

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from infra.native import Stack, probes
from tests.e2e.shopper import eventually, new_customer, new_product, order

pytestmark = pytest.mark.timeout(300)


async def longest_record(kafka: str, size: int) -> None:
    """What a group may write; it is longer than a byte, so then none can be joined."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        wanted = {"max.message.bytes": str(size)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, probes.OFFSETS, wanted)])
    finally:
        await admin.close()


async def test_a_kafka_that_refuses_every_group_is_restarted(
    native: Stack, stack: dict[str, Any], shop: httpx.AsyncClient
) -> None:
    before = native.supervisor.pid("kafka")
    [kafka] = [part for part in native.parts() if part.name == "kafka"]

    async def is_ready() -> bool:
        return await asyncio.to_thread(kafka.is_ready)

    async def is_another() -> bool:
        return native.supervisor.pid("kafka") not in (0, before)

    assert await is_ready()
    await longest_record(stack["kafka"], 1)
    try:
        await eventually(is_ready, False)
        await eventually(is_another, True, within_s=120)
        await eventually(is_ready_to_talk(stack["ports"]["KAFKA_PORT"]), True, within_s=60)
    finally:
        await longest_record(stack["kafka"], 1 << 20)
    await asyncio.to_thread(native.wait_ready)
    sku, customer = await new_product(shop), await new_customer(shop)
    assert (await order(shop, customer, {sku: 1}, wait=30)).status_code == 201


def is_ready_to_talk(port: int) -> Any:
    """Whether it answers at all, be it with a no."""

    async def look() -> bool:
        return await asyncio.to_thread(probes.kafka_groups, port) is not None

    return look
