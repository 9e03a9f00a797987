"""What two readers make of the same cuts. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from lab.anomalies.cut import Cut, Effect, Sight

EXAMPLES = 5
WORDS = {
    "order": ("confirmed", "not confirmed"),
    "inventory": ("goods taken", "goods not taken"),
    "payment": ("paid", "not paid"),
}
REFUSED = "REFUSED"


def plain(cut: Cut) -> Mapping[UUID, Sight]:
    """Whoever looks into one database after another, and believes all of it."""
    return cut.sights


def coordinated(cut: Cut) -> Mapping[UUID, Sight]:
    """Leaves out what is prepared anywhere, and what was committed somewhere while it read."""
    return {id: sight for id, sight in cut.sights.items() if id not in cut.in_doubt and not _moved(cut, id)}


def _moved(cut: Cut, id: UUID) -> bool:
    """It looked torn, and then all of it was there."""
    before, after = cut.sights[id], cut.later.get(id, Sight())
    return before.torn and not any(
        a is Effect.NONE and b is Effect.NONE for a, b in zip(before, after, strict=True)
    )


READERS = {"plain": plain, "coordinated": coordinated}


def pattern(sight: Sight) -> str:
    return ", ".join(
        words[effect is not Effect.THERE] for effect, words in zip(sight, WORDS.values(), strict=True)
    )


class Tally:
    """What one reader saw, read by read; which orders count is known when all is over."""

    def __init__(self, reader: str) -> None:
        self._sees = READERS[reader]
        self._torn: list[dict[UUID, str]] = []
        self._believed: dict[UUID, set[str]] = {}
        self._left_out: Counter[UUID] = Counter()

    def add(self, cut: Cut) -> None:
        seen = self._sees(cut)
        self._torn.append({id: pattern(sight) for id, sight in seen.items() if sight.torn})
        self._left_out.update(cut.sights.keys() - seen.keys())
        for id, sight in seen.items():
            for field, effect in zip(WORDS, sight, strict=True):
                if effect is Effect.THERE:
                    self._believed.setdefault(id, set()).add(field)

    def result(self, orders: Mapping[UUID, str]) -> dict[str, Any]:
        """`orders`: those that count, and how they ended."""
        torn = [{id: words for id, words in read.items() if id in orders} for read in self._torn]
        patterns = Counter(words for read in torn for words in read.values())
        fractured = {id: words for read in torn for id, words in read.items()}
        dirty = {
            id: fields
            for id, fields in self._believed.items()
            if orders.get(id) == REFUSED and fields & WORDS.keys()
        }
        return {
            "fractured": {
                "orders": len(fractured),
                "reads": sum(1 for read in torn if read),
                "seen": dict(patterns.most_common()),
                "examples": _examples(f"{id}: {words}" for id, words in fractured.items()),
            },
            "dirty": {
                "orders": len(dirty),
                "seen": dict(Counter(WORDS[field][0] for fields in dirty.values() for field in fields)),
                "examples": _examples(
                    f"{id}: {' and '.join(WORDS[field][0] for field in sorted(fields))}, then refused"
                    for id, fields in dirty.items()
                ),
            },
            "left_out": sum(count for id, count in self._left_out.items() if id in orders),
        }


def _examples(words: Iterable[str]) -> list[str]:
    return [one for one, _ in zip(words, range(EXAMPLES), strict=False)]


def broken(protocol: str, readers: Mapping[str, Any], off: int) -> int:
    """How much of what was seen the protocol does not allow.

    The sums of one database are right at every instant under any protocol. A saga isolates nothing beyond
    that. Who prepares before he commits shows nobody what is undone, and a coordinated reader nothing torn.
    """
    if protocol == "saga":
        return off
    dirty = sum(int(told["dirty"]["orders"]) for told in readers.values())
    return off + dirty + int(readers["coordinated"]["fractured"]["orders"])
