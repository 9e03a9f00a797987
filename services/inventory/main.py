"""One inventory process: products over HTTP, holds and shipments for sagas."""

import httpx

from services.commit.by_hand import DoubtRoutes
from services.commit.participant import tell_nobody
from services.commit.route import ParticipantRoute
from services.commit.termination import Terminator
from services.contract import commit, topics
from services.contract.retention import DELIVERABLE_S
from services.inventory.api import ProductRoutes
from services.inventory.handlers import HANDLERS, lock
from services.inventory.hot import HotProducts
from services.inventory.participation import script, work
from services.retention import chores
from services.runtime.bus import Consumer
from services.runtime.http import HotRoute, create_app
from services.runtime.plumbing import Plumbing
from services.runtime.process import run, serve
from services.runtime.settings import Settings
from services.runtime.worker import Worker

DESCRIPTION = "Products and their stock. Prices are in minor units of their currency."


async def main(settings: Settings) -> None:
    parts = Plumbing.of(settings, topics.PARTITIONS)
    worker = Worker(
        parts.name,
        parts.outbox,
        HANDLERS,
        answers_topic=topics.SAGAS,
        dead_letter_topic=topics.DEAD_LETTERS,
        guard=HotProducts(parts.database, parts.shortcuts).guard,
        lock=lock,
        good_for_s=DELIVERABLE_S,
    )
    commands = Consumer(settings.kafka_bootstrap, topics.INVENTORY_COMMANDS, "inventory", worker.handle)

    taking_part = ParticipantRoute(
        "inventory", settings.database_url, work, script, tell_nobody, settings.participant_token
    )
    peers = httpx.AsyncClient(base_url=settings.internal_url)
    janitor = chores.janitor("inventory", parts, peers, settings.participant_token)
    terminator = Terminator("inventory", taking_part, peers, settings.coordinator_silence_s)

    async def ready() -> bool:
        return commands.is_attached and await parts.database.is_up()

    app = create_app("Tradeoff: inventory", DESCRIPTION, ready)
    ProductRoutes(parts.name, parts.front, parts.outbox).add_to(app)
    DoubtRoutes("inventory", taking_part).add_to(app)
    if settings.chaos:
        from services.chaos import seams

        seams.of_participant("inventory", settings, app, parts.outbox, peers, taking_part.participant)

    async def close() -> None:
        await peers.aclose()
        await taking_part.participant.close()
        await parts.close()

    front = HotRoute(app, "POST", commit.PATH, taking_part.answer)
    loops = [parts.outbox.run, commands.run, janitor.run, *terminator.loops]
    await serve(settings, front, loops, close)


if __name__ == "__main__":
    run(main)
