"""Those who want the same row queue for it here, in the order of their arrival, instead of racing for it.

Between its vote and the decision a transaction holds its locks, and at one order a transaction a product that
everybody wants changes hands hundreds of times a second. Who asks for it meanwhile waits in Postgres with
the locks that it has got elsewhere, until its time is up; then it has lost, and all its work was for
nothing. So a transaction takes its turn with everything that it is going to lock before anybody works for it.

It is a courtesy within one coordinator: between two of them, and after a crash, the row locks decide.
"""

import asyncio
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Turn:
    keys: frozenset[Hashable]
    behind: int = 0  # in how many of its queues somebody is in front of it
    has_come: asyncio.Event = field(default_factory=asyncio.Event)


class Turns:
    """One queue a key. Everybody stands in all their queues at once, so that no two wait for each other."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[Turn]] = {}

    def queue(self, keys: Iterable[Hashable]) -> Turn:
        """`has_come` is set when it is the first for all of these."""
        turn = Turn(frozenset(keys))
        for key in turn.keys:
            queue = self._queues.setdefault(key, deque())
            turn.behind += bool(queue)
            queue.append(turn)
        if not turn.behind:
            turn.has_come.set()
        return turn

    def leave(self, turn: Turn) -> None:
        """Whether it had its turn or not: the next one's has come."""
        for key in turn.keys:
            queue = self._queues[key]
            was_first = queue[0] is turn
            queue.remove(turn)
            if not queue:
                del self._queues[key]
            elif was_first:
                first = queue[0]
                first.behind -= 1
                if not first.behind:
                    first.has_come.set()
