"""The parts that every process has, built in one place and closed in the right order."""

from dataclasses import dataclass
from typing import Self

from services.runtime.bus import Producer
from services.runtime.database import Database
from services.runtime.outbox import Outbox
from services.runtime.settings import Settings
from services.runtime.shortcuts import Shortcuts

FRONT_POOL = 4
PATIENCE_S = 3.0
"""How long a request waits for Postgres. Then it is answered 503, and may be repeated."""


@dataclass(frozen=True, slots=True)
class Plumbing:
    """`front` is for requests over HTTP: they never take the last connection of those who work for sagas,
    and they do not wait."""

    name: str
    database: Database
    front: Database
    producer: Producer
    outbox: Outbox
    shortcuts: Shortcuts

    @classmethod
    def of(cls, settings: Settings, partitions: int) -> Self:
        """Connects nothing yet: each part does when it is first used, and again when it breaks."""
        database = Database(settings.database_url)
        front = Database(settings.database_url, pool_size=FRONT_POOL, patience_s=PATIENCE_S)
        producer = Producer(settings.kafka_bootstrap, partitions)
        outbox = Outbox(settings.process_name, database, producer)
        return cls(settings.process_name, database, front, producer, outbox, Shortcuts(settings.redis_url))

    async def close(self) -> None:
        await self.producer.close()
        await self.shortcuts.close()
        await self.front.close()
        await self.database.close()
