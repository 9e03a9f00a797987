"""How far apart batches are: not at all where records come alone, farther the longer a batch of many takes.

What a batch costs whatever its size (a fetch, a commit, a produce request, and the wakeups between them)
is worth that of many records. Left alone, a pipeline takes many small batches and fills the processor
with them at any load, and then everybody waits for the processor. Then batches take longer, too: so a
pipeline rests in proportion. How many replicas share the processor need not be known.
"""

import contextlib
import math
import time
from collections.abc import Iterator

MEMORY_S = 0.1
"""Over how long the size of batches is averaged, and how long they take."""

ALONE, CROWDED = 1.5, 3.0
"""Records in a batch, up to which it does not rest, and from which on it rests for long."""

SHARE = 1 / 3
"""How much of its time a crowded pipeline works."""

LONGEST_S = 0.1


class Pace:
    """Tells when the next batch of one pipeline may begin."""

    def __init__(self) -> None:
        self._records, self._takes_s = 0.0, 0.0
        self._began_at = self.not_before = time.monotonic()

    @contextlib.contextmanager
    def batch(self, records: int) -> Iterator[None]:
        """Around a batch of so many records."""
        began_at = time.monotonic()
        try:
            yield
        finally:
            now = time.monotonic()
            weight = 1.0 - math.exp(-(now - self._began_at) / MEMORY_S)
            self._began_at = began_at
            self._records += weight * (records - self._records)
            self._takes_s += weight * (now - began_at - self._takes_s)
            self.not_before = began_at + apart_s(self._records, self._takes_s)


def apart_s(records: float, takes_s: float) -> float:
    """Seconds from one batch's begin to the next one's, where they have so many records and take so long."""
    crowded = min(1.0, max(0.0, (records - ALONE) / (CROWDED - ALONE)))
    return min(LONGEST_S, crowded * takes_s / SHARE)
