"""The worlds of one saga.

Beside single messages the network may lose all it holds, and the orchestrator may crash and be resumed, at
any point. Any timer ever armed may ring at any time, and so may the deadline. Attempts only number the
messages: projected out, the worlds are finite.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from orchestrator.core import saga as core
from orchestrator.core.definition import Definition
from orchestrator.core.saga import Answered, Ask, Effect, Event, Expired, RetryNow, Saga, TimedOut, Wake
from tests.exhaustive.explorer import Move
from tests.sim.world import REFUSABLE, Rules, Shop, before, check, insist, under_way


class World(NamedTuple):
    saga: Saga
    asks: frozenset[str]
    answers: frozenset[tuple[str, bool]]
    timers: frozenset[str]
    shop: Shop


class SagaModel:
    def __init__(self, definition: Definition, rules: Rules | None = None) -> None:
        self.definition = definition
        self.rules = rules = rules or Rules()
        self.turn = cache(self._turn)  # a few dozen sagas share many thousand worlds
        self.receive = cache(rules.receive)

    def starts(self) -> list[World]:
        saga, effects = core.begin(self.definition)
        asks, timers = _sent(saga, effects)
        return [
            World(saga, asks | under_way(self.definition, shop), frozenset(), timers, shop)
            for shop in before(self.definition)
        ]

    def check(self, world: World) -> None:
        check(self.definition, world.saga, world.shop)

    def ended(self, world: World) -> bool:
        return bool(world.saga.outcome)

    def moves(self, world: World) -> Iterator[Move[World]]:
        for step in sorted(world.asks):
            for vote in (True, False) if step in REFUSABLE else (True,):
                shop, done = self.receive(world.shop, step, vote)
                answers = world.answers | {(step, done)}
                yield Move(f"{step} → {done}", world._replace(shop=shop, answers=answers), True)
            if step not in REFUSABLE and (step, False) not in world.answers:
                # A refusal of what has to happen: the participant has rolled back, and remembers nothing.
                answers = world.answers | {(step, False)}
                yield Move(f"{step} fails for now", world._replace(answers=answers), False)
        for step, done in sorted(world.answers):
            yield self._hears(world, Answered(step, done, "refused" if not done else ""))
        for armed in sorted(world.timers):
            yield self._hears(world, TimedOut(armed))
        yield self._hears(world, Expired())
        yield self._hears(world, RetryNow())
        silence = world._replace(asks=frozenset(), answers=frozenset())
        yield Move("everything under way is lost", silence, False)
        yield Move("crash", self._crash(world), False)
        yield Move("crash, and everything under way is lost", self._crash(silence), False)

    def _hears(self, world: World, event: Event) -> Move[World]:
        saga, asks, timers = self.turn(world.saga, event)
        after = world._replace(saga=saga, asks=world.asks | asks, timers=world.timers | timers)
        return Move(str(event), after, isinstance(event, Answered | TimedOut))

    def _turn(self, saga: Saga, event: Event) -> tuple[Saga, frozenset[str], frozenset[str]]:
        after, effects = self.rules.step(self.definition, saga, event)
        if isinstance(event, TimedOut) and event.token != core.token(saga):
            insist((after, effects) == (saga, ()), f"a timer of {event.token} rang in {core.token(saga)}")
        after = replace(after, attempt=min(after.attempt, 1))
        return after, *_sent(after, effects)

    def _crash(self, world: World) -> World:
        """The timers are forgotten. What was saved has been sent, now or by whoever resumes."""
        asks, timers = _sent(world.saga, self.rules.resume(self.definition, world.saga))
        insist(asks.issuperset(world.saga.waiting), "resume forgot to ask what had not been answered")
        return world._replace(asks=world.asks | asks, timers=timers)


def _sent(saga: Saga, effects: tuple[Effect, ...]) -> tuple[frozenset[str], frozenset[str]]:
    asks = frozenset(e.step for e in effects if isinstance(e, Ask))
    return asks, frozenset(core.token(saga) for e in effects if isinstance(e, Wake))
