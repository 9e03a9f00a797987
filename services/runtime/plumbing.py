"""The parts that every process has, built in one place and closed in the right order."""

from dataclasses import dataclass
from typing import Self

from services.runtime.bus import Producer
from services.runtime.database import Database
from services.runtime.outbox import Outbox
from services.runtime.settings import Settings
from services.runtime.shortcuts import Shortcuts


@dataclass(frozen=True, slots=True)
class Plumbing:
    name: str
    database: Database
    producer: Producer
    outbox: Outbox
    shortcuts: Shortcuts

    @classmethod
    def of(cls, settings: Settings, partitions: int) -> Self:
        """Connects nothing yet: each part does when it is first used, and again when it breaks."""
        database = Database(settings.database_url)
        producer = Producer(settings.kafka_bootstrap, partitions)
        outbox = Outbox(settings.process_name, database, producer)
        return cls(settings.process_name, database, producer, outbox, Shortcuts(settings.redis_url))

    async def close(self) -> None:
        await self.producer.close()
        await self.shortcuts.close()
        await self.database.close()
