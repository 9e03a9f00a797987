"""One orchestrator process: drives the sagas of the shards that Kafka assigns to it."""

from orchestrator.api import TransactionRoutes
from orchestrator.driver import Driver
from services.contract import topics
from services.runtime.bus import Consumer
from services.runtime.http import create_app
from services.runtime.janitor import Janitor
from services.runtime.plumbing import Plumbing
from services.runtime.process import run, serve
from services.runtime.settings import Settings

DESCRIPTION = "Distributed transactions: their journals, and what an operator can do about them."


async def main(settings: Settings) -> None:
    parts = Plumbing.of(settings, topics.PARTITIONS)
    driver = Driver(parts.name, parts.database, parts.outbox, settings.journal_sample)
    sagas = Consumer(settings.kafka_bootstrap, topics.SAGAS, "orchestrator", driver.handle, driver.own)
    janitor = Janitor("orchestrator", parts, [])

    async def ready() -> bool:
        return sagas.is_attached and await parts.database.is_up()

    app = create_app("Tradeoff: transactions", DESCRIPTION, ready)
    TransactionRoutes(parts.database, driver, settings.operator_token).add_to(app)
    await serve(settings, app, [parts.outbox.run, sagas.run, driver.run_timers, janitor.run], parts.close)


if __name__ == "__main__":
    run(main)
