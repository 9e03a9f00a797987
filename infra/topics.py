"""The topics job: `python -m infra.topics` creates what services.contract.topics names. Safe to repeat.

Topics exist before the first consumer joins, and with the right number of partitions: an order's shard is
a partition number. Their retention is set each time, for what replays can bring must be known.
"""

import asyncio
import os

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from services.contract.retention import TOPIC_SETTINGS
from services.contract.topics import ALL, PARTITIONS


async def create(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        missing = sorted(set(ALL) - set(await admin.list_topics()))
        if missing:
            new = [NewTopic(name, num_partitions=PARTITIONS, replication_factor=1) for name in missing]
            answer = await admin.create_topics(new)
            for name, code, *_ in answer.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise SystemExit(f"topic {name}: {for_code(code).__name__}")
        for topic in await admin.describe_topics(list(ALL)):
            if len(topic["partitions"]) != PARTITIONS:
                raise SystemExit(
                    f"topic {topic['topic']} has {len(topic['partitions'])} partitions, not {PARTITIONS}: "
                    "orders would change their shard. Start afresh with: make clean"
                )
        topics = [ConfigResource(ConfigResourceType.TOPIC, name, TOPIC_SETTINGS) for name in ALL]
        for answer in await admin.alter_configs(topics):
            for code, _, _, name in answer.resources:
                if code:
                    raise SystemExit(f"topic {name}: {for_code(code).__name__}")
    finally:
        await admin.close()


if __name__ == "__main__":
    asyncio.run(create(os.environ["KAFKA_BOOTSTRAP"]))
