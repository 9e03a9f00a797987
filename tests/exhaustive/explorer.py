"""Every world that a saga can reach, whatever the network, the processes and the clocks do.

The network is the set of all messages sent: none is ever removed, so each may be delivered at any time,
in any order, any number of times, or never. On top of that the network may lose all it holds, and the
orchestrator may crash and be resumed, at any point. (To lose a single message shows nothing new: it
leaves a world with fewer moves than one that is visited anyway.) Any timer ever armed may ring at any
time, and so may the deadline. Attempts only number the messages: projected out, the worlds are finite.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

from orchestrator.core import saga as core
from orchestrator.core.definition import Definition
from orchestrator.core.saga import Answered, Ask, Effect, Event, Expired, RetryNow, Saga, TimedOut, Wake
from tests.sim.world import REFUSABLE, Rules, Shop, before, check, insist, under_way


class World(NamedTuple):
    saga: Saga
    asks: frozenset[str]
    answers: frozenset[tuple[str, bool]]
    timers: frozenset[str]
    shop: Shop


class Move(NamedTuple):
    """`fair`: it happens sooner or later of itself. The others may never happen: faults, operators."""

    name: str
    world: World
    fair: bool


@dataclass(slots=True)
class Exploration:
    """The worlds found, each with the worlds that lead to it by a fair move."""

    came_from: dict[World, list[World]] = field(default_factory=dict)

    @property
    def worlds(self) -> list[World]:
        return list(self.came_from)

    def livelocked(self) -> set[World]:
        """Worlds from which messages and timers alone can no longer reach an end."""
        ending = {w for w in self.came_from if w.saga.outcome}
        queue = deque(ending)
        while queue:
            for earlier in self.came_from[queue.popleft()]:
                if earlier not in ending:
                    ending.add(earlier)
                    queue.append(earlier)
        return set(self.came_from) - ending


def explore(definition: Definition, rules: Rules | None = None) -> Exploration:
    """Breadth first, so that a Violation is found by a shortest way; its moves are its message."""
    explorer = _Explorer(definition, rules or Rules())
    starts = explorer.starts()
    found = Exploration({start: [] for start in starts})
    way: dict[World, tuple[World, str]] = {}
    queue = deque(starts)
    while queue:
        world = queue.popleft()
        try:
            for name, after, fair in explorer.moves(world):
                if after not in found.came_from:
                    found.came_from[after] = []
                    way[after] = (world, name)
                    check(definition, after.saga, after.shop)
                    queue.append(after)
                if fair:
                    found.came_from[after].append(world)
        except Exception as broken:
            broken.add_note(_tell(way, world))
            raise
    return found


class _Explorer:
    def __init__(self, definition: Definition, rules: Rules) -> None:
        self.definition = definition
        self.rules = rules
        self.turn = cache(self._turn)  # a few dozen sagas share many thousand worlds
        self.receive = cache(rules.receive)

    def starts(self) -> list[World]:
        saga, effects = core.begin(self.definition)
        asks, timers = _sent(saga, effects)
        return [
            World(saga, asks | under_way(self.definition, shop), frozenset(), timers, shop)
            for shop in before(self.definition)
        ]

    def moves(self, world: World) -> Iterator[Move]:
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

    def _hears(self, world: World, event: Event) -> Move:
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


def _tell(way: dict[World, tuple[World, str]], world: World) -> str:
    moves = []
    while world in way:
        world, name = way[world]
        moves.append(name)
    return "\n".join(["the way there:", *reversed(moves)])
