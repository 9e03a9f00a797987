"""A schedule that fails, made small and drawn: chance is taken away piece by piece while it still fails."""

import re
from collections.abc import Callable
from random import Random

from lab.diagram import LANE, ROLES
from lab.diagram import arrow as drawn_arrow
from lab.diagram import event as drawn_event

DULL = 0.5
"""Of all that `random()` can be, what nothing comes of: no loss, no crash, no delay to speak of."""

MOST_DRAWN = 2_000_000
"""In all tries together: some ten seconds at most. What never ends draws tens of thousands of times."""

Draw = float | int


class Tape(Random):
    """What it draws is written down. Drawn is what is given and then what is dull, or else by the seed."""

    def __init__(self, given: list[Draw] | None = None, seed: int = 0) -> None:
        super().__init__(seed)
        self._given = given
        self.drawn: list[Draw] = []

    def random(self) -> float:
        return float(self._next(super().random, DULL))

    def getrandbits(self, k: int, /) -> int:
        return int(self._next(lambda: super(Tape, self).getrandbits(k), 0)) & ((1 << k) - 1)

    def _next(self, fresh: Callable[[], Draw], dull: Draw) -> Draw:
        at = len(self.drawn)
        if self._given is None:
            draw = fresh()
        else:
            draw = self._given[at] if at < len(self._given) else dull
            if type(draw) is not type(dull):  # the schedule went another way, where something else is drawn
                draw = dull
        self.drawn.append(draw)
        return draw


class Picture:
    """A space-time diagram in text: a lifeline a role, time down, messages drawn where they arrive."""

    def __init__(self) -> None:
        self.rows: list[str] = []

    def arrow(self, at: float, start: str, end: str, what: str) -> None:
        if start == end:
            return self.event(at, start, what)
        self.rows.append(f"{at:10.3f} {drawn_arrow(ROLES.index(start), ROLES.index(end), what)}")

    def event(self, at: float, role: str, what: str) -> None:
        entry = {"role": role, "kind": "state", "what": what}
        self.rows.append(f"{at:10.3f} {drawn_event(entry, '')}")

    def __str__(self) -> str:
        heads = "".join(role.ljust(LANE) for role in ROLES)
        return "\n".join([f"{'seconds':>10} {heads}", *self.rows])


Run = Callable[[Random, Picture | None], object]
"""A schedule by this chance, drawn if there is a picture. Raises when a promise is broken."""


def small(run: Run, seed: int) -> tuple[list[Draw], int, str]:
    """The draws of the smallest schedule found that breaks the same promise as this seed's, of how many they
    were at first, and its picture."""
    broken, draws = _fails(run, Tape(seed=seed))
    assert broken, "it fails by this seed"
    first, spent = len(draws), 0
    size = max(1, len(draws) // 2)
    while size and spent < MOST_DRAWN:
        at = 0
        while at < len(draws) and spent < MOST_DRAWN:
            for candidate in _without(draws, at, size):
                again, drawn = _fails(run, Tape(candidate))
                spent += len(drawn)
                if again == broken and _weight(drawn) < _weight(draws):
                    draws = drawn
                    break
            else:
                at += size
        size //= 2
    picture = Picture()
    try:
        run(Tape(draws), picture)
    except Exception as error:
        picture.rows.append(f"{type(error).__name__}: {error}")
    return draws, first, str(picture)


def explained(run: Run, seed: int) -> str:
    """To be added to the failure of a test."""
    draws, first, picture = small(run, seed)
    left = sum(draw not in (0, DULL) for draw in draws)
    return f"The smallest schedule found that fails so ({left} chances of {first}):\n{picture}"


def _without(draws: list[Draw], at: int, size: int) -> list[list[Draw]]:
    """Without this piece, or with nothing happening in it."""
    piece = draws[at : at + size]
    dull: list[Draw] = [DULL if isinstance(draw, float) else 0 for draw in piece]
    return [draws[:at] + draws[at + size :], draws[:at] + dull + draws[at + size :]]


def _weight(draws: list[Draw]) -> tuple[int, int]:
    """The fewer things happen by chance the better, and then the shorter."""
    return sum(draw not in (0, DULL) for draw in draws), len(draws)


def _fails(run: Run, tape: Tape) -> tuple[str, list[Draw]]:
    """Which promise is broken, whoever's and however often; empty if none is."""
    try:
        run(tape, None)
    except Exception as error:
        return re.sub(r"[\d.]+|:.*", "", f"{type(error).__name__} {error}"), tape.drawn
    return "", tape.drawn
