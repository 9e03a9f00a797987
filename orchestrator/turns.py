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
    behind: int = 0  # in how many of its queues it has to wait for those in front
    has_come: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False)
class _Queue:
    turns: deque[Turn] = field(default_factory=deque)
    abreast: int = 1  # so many of the first need not wait for one another
    ahead: int = 0  # so many of the first do not


class Turns:
    """One queue a key. Everybody stands in all their queues at once, so that no two wait for each other.

    After each that was refused the next ones go twice as many abreast: what has run out, nobody locks. And
    `at_once` have their turn at a time: the fewer share the processor, the sooner each gives back its locks.
    """

    def __init__(self, at_once: int) -> None:
        self._queues: dict[Hashable, _Queue] = {}
        self._first: deque[Turn] = deque()  # those whose rows are free
        self._free = self._at_once = at_once

    def queue(self, keys: Iterable[Hashable]) -> Turn:
        """`has_come` is set when nobody is in front of it for any of these."""
        turn = Turn(frozenset(keys))
        turn.behind = len(turn.keys)
        if not turn.keys:
            self._first.append(turn)
        for key in turn.keys:
            queue = self._queues.setdefault(key, _Queue())
            queue.turns.append(turn)
            self._advance(queue)
        self._go_on()
        return turn

    def leave(self, turn: Turn, refused: bool = False) -> None:
        """Whether it had its turn or not: the next one's has come."""
        if turn.has_come.is_set():
            self._free += 1
        elif not turn.behind:
            self._first.remove(turn)
        for key in turn.keys:
            queue = self._queues[key]
            place = queue.turns.index(turn)
            del queue.turns[place]
            queue.ahead -= place < queue.ahead
            queue.abreast = min(2 * queue.abreast, self._at_once) if refused else 1
            if queue.turns:
                self._advance(queue)
            else:
                del self._queues[key]
        self._go_on()

    def _advance(self, queue: _Queue) -> None:
        while queue.ahead < min(queue.abreast, len(queue.turns)):
            turn = queue.turns[queue.ahead]
            queue.ahead += 1
            turn.behind -= 1
            if not turn.behind:
                self._first.append(turn)

    def _go_on(self) -> None:
        while self._free and self._first:
            self._free -= 1
            self._first.popleft().has_come.set()
