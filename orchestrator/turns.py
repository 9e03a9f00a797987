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
    """One queue a key. Everybody stands in all their queues at once, so that no two wait for each other.

    And `at_once` turns at a time: the fewer share the processor, the sooner each gives back what it locks.
    """

    def __init__(self, at_once: int) -> None:
        self._queues: dict[Hashable, deque[Turn]] = {}
        self._first: deque[Turn] = deque()  # those whose rows are free
        self._free = at_once

    def queue(self, keys: Iterable[Hashable]) -> Turn:
        """`has_come` is set when it is the first for all of these."""
        turn = Turn(frozenset(keys))
        for key in turn.keys:
            queue = self._queues.setdefault(key, deque())
            turn.behind += bool(queue)
            queue.append(turn)
        if not turn.behind:
            self._first.append(turn)
        self._go_on()
        return turn

    def leave(self, turn: Turn) -> None:
        """Whether it had its turn or not: the next one's has come."""
        if turn.has_come.is_set():
            self._free += 1
        elif not turn.behind:
            self._first.remove(turn)
        for key in turn.keys:
            queue = self._queues[key]
            was_first = queue[0] is turn
            queue.remove(turn)
            if not queue:
                del self._queues[key]
            elif was_first:
                queue[0].behind -= 1
                if not queue[0].behind:
                    self._first.append(queue[0])
        self._go_on()

    def _go_on(self) -> None:
        while self._free and self._first:
            self._free -= 1
            self._first.popleft().has_come.set()
