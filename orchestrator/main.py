"""One orchestrator process: drives the transactions of the shards that Kafka assigns to it."""

import httpx

from orchestrator import retention
from orchestrator.api import TransactionRoutes
from orchestrator.coordinator import Coordinator
from orchestrator.doubts import Doubts
from orchestrator.driver import Driver
from orchestrator.participants import Participants
from orchestrator.shards import Shards
from services.contract import topics
from services.retention.needed import NeededRoute
from services.runtime.bus import Consumer
from services.runtime.http import create_app
from services.runtime.janitor import Janitor
from services.runtime.plumbing import Plumbing
from services.runtime.process import run, serve
from services.runtime.settings import Settings

DESCRIPTION = "Distributed transactions: their journals, and what an operator can do about them."


async def main(settings: Settings) -> None:
    parts = Plumbing.of(settings, topics.PARTITIONS)
    shards = Shards(parts.database)
    participants = Participants.at(settings.internal_url, settings.participant_token)
    coordinator = Coordinator(parts.name, parts.database, parts.outbox, shards, participants)
    peers = httpx.AsyncClient(base_url=settings.internal_url)
    unended = retention.Unended(peers, settings.participant_token)
    driver = Driver(parts.name, parts.outbox, shards, coordinator, settings.journal_sample, unended)
    starts = Consumer(settings.kafka_bootstrap, topics.SAGAS, "orchestrator", driver.handle, driver.own)
    janitor = Janitor("orchestrator", parts, retention.chores(peers, settings.participant_token))

    async def ready() -> bool:
        return starts.is_attached and await parts.database.is_up()

    app = create_app("Tradeoff: transactions", DESCRIPTION, ready)
    doubts = Doubts(parts.name, parts.database, participants)
    TransactionRoutes(parts.database, driver, doubts, settings.operator_token).add_to(app)
    NeededRoute(parts.front, retention.KNOWN, settings.participant_token).add_to(app)
    if settings.chaos:
        from services.chaos import seams

        seams.of_orchestrator(settings, app, parts.outbox, participants, coordinator)

    async def close() -> None:
        await participants.close()
        await peers.aclose()
        await parts.close()

    loops = [parts.outbox.run, starts.run, driver.run_timers, coordinator.take_over, janitor.run]
    await serve(settings, app, loops, close)


if __name__ == "__main__":
    run(main)
