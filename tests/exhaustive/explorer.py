"""Finds every world that can be reached, each by a shortest way. What a world is, the models say.

In each model the network is a set of messages of which none is ever removed. So each may be delivered at
any time, in any order, any number of times, or never. To lose a single message shows nothing new: it
leaves a world with fewer moves than one that is visited anyway.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

World = TypeVar("World", bound=Hashable)


class Move(NamedTuple, Generic[World]):
    """`fair`: it happens sooner or later of itself. The others may never happen: faults, operators."""

    name: str
    world: World
    fair: bool = True


class Model(Protocol[World]):
    def starts(self) -> Iterable[World]: ...

    def moves(self, world: World) -> Iterable[Move[World]]: ...

    def check(self, world: World) -> None:
        """Raises if in this world something has happened that never may."""

    def ended(self, world: World) -> bool: ...


@dataclass(slots=True)
class Exploration(Generic[World]):
    """The worlds found, the nearest first; each with the worlds that lead to it by a fair move."""

    model: Model[World]
    came_from: dict[World, list[World]] = field(default_factory=dict)
    way: dict[World, tuple[World, str]] = field(default_factory=dict)

    @property
    def worlds(self) -> list[World]:
        return list(self.came_from)

    def livelocked(self) -> set[World]:
        """Worlds from which fair moves alone can no longer reach an end."""
        ending = {w for w in self.came_from if self.model.ended(w)}
        queue = deque(ending)
        while queue:
            for earlier in self.came_from[queue.popleft()]:
                if earlier not in ending:
                    ending.add(earlier)
                    queue.append(earlier)
        return set(self.came_from) - ending

    def nearest(self, wanted: Callable[[World], bool]) -> World | None:
        return next(filter(wanted, self.came_from), None)

    def schedule(self, world: World) -> list[str]:
        """The moves of a shortest way to this world."""
        moves = []
        while world in self.way:
            world, name = self.way[world]
            moves.append(name)
        return moves[::-1]


def explore(model: Model[World]) -> Exploration[World]:
    """Breadth first, so that what may never happen is found by a shortest way; its moves are its note."""
    starts = list(model.starts())
    found = Exploration(model, {start: [] for start in starts})
    for start in starts:
        model.check(start)
    queue = deque(starts)
    while queue:
        seen = world = queue.popleft()
        try:
            for name, after, fair in model.moves(world):
                if after not in found.came_from:
                    found.came_from[after] = []
                    found.way[after] = (world, name)
                    seen = after
                    model.check(after)
                    seen = world
                    queue.append(after)
                if fair:
                    found.came_from[after].append(world)
        except Exception as broken:
            broken.add_note("\n".join(["the way there:", *found.schedule(seen)]))
            raise
    return found
