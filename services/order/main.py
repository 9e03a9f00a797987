"""One order process: takes orders over HTTP, and ends them when their saga says so."""

from functools import partial

import httpx

from services.commit.by_hand import DoubtRoutes
from services.commit.route import ParticipantRoute
from services.commit.termination import Terminator
from services.contract import commit, topics
from services.order import store
from services.order.answers import Answers
from services.order.api import OrderRoutes
from services.order.handlers import CatalogueFeed, SagaSteps
from services.order.participation import Waiting, script, work
from services.order.placing import Placed, Placement, Placing, Unlisted
from services.retention import chores
from services.retention.needed import NeededRoute
from services.runtime.bus import Consumer
from services.runtime.group_commit import GroupCommit
from services.runtime.http import HotRoute, create_app
from services.runtime.plumbing import Plumbing
from services.runtime.process import run, serve
from services.runtime.settings import Settings
from services.runtime.worker import Worker

DESCRIPTION = "Place, read and cancel orders. Amounts are in minor units of their currency."


async def main(settings: Settings) -> None:
    parts = Plumbing.of(settings, topics.PARTITIONS)
    answers = Answers(parts.shortcuts, parts.front)
    internal = httpx.AsyncClient(base_url=settings.internal_url, timeout=2.0)
    steps = SagaSteps(answers).handlers
    worker = Worker(
        parts.name, parts.outbox, steps, answers_topic=topics.SAGAS, dead_letter_topic=topics.DEAD_LETTERS
    )
    consume = partial(Consumer, settings.kafka_bootstrap)
    commands = consume(topics.ORDER_COMMANDS, "order", worker.handle)
    feed = CatalogueFeed(parts.name, parts.outbox)
    catalogue = consume(topics.CATALOGUE_EVENTS, "order-catalogue", feed.handle)
    janitor = chores.janitor("order", parts, internal, settings.participant_token, store.KEY_NEEDED)
    told = Waiting(parts.database, answers).committed
    part = ParticipantRoute("order", settings.database_url, work, script, told, settings.participant_token)
    terminator = Terminator("order", part, internal, settings.coordinator_silence_s)

    async def ready() -> bool:
        return commands.is_attached and await parts.database.is_up()

    place = Placing(parts.name, parts.front, parts.outbox, answers)
    placing = GroupCommit[Placement, Placed | Unlisted](place.commit)
    app = create_app("Tradeoff: orders", DESCRIPTION, ready)
    routes = OrderRoutes(parts.name, parts.front, parts.outbox, answers, placing, internal)
    needed = NeededRoute(parts.front, store.UNENDED, settings.participant_token)
    for each in (routes, DoubtRoutes("order", part), needed):
        each.add_to(app)
    if settings.chaos:
        from services.chaos import seams

        seams.of_participant("order", settings, app, parts.outbox, internal, part.participant)

    async def close() -> None:
        await internal.aclose()
        await part.participant.close()
        await parts.close()

    loops = [parts.outbox.run, commands.run, catalogue.run, janitor.run, answers.poll, answers.listen]
    hot = HotRoute(HotRoute(app, "POST", commit.PATH, part.answer), "POST", "/orders", routes.place)
    await serve(settings, hot, [*loops, routes.crowd.run, *terminator.loops], close, answers.close)


if __name__ == "__main__":
    run(main)
