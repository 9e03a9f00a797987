"""How long a batch may grow: not at all while work is rare, longer the faster it comes.

What a batch costs whatever its size (a fetch, a commit, a produce request, and the wakeups between them)
is worth that of many records. Left alone, a pipeline takes many small batches and fills the processor
with them at any load, and then everybody waits for the processor.
"""

import math
import time

MEMORY_S = 0.1
"""Over how long the rate of arrival is averaged."""

UNHURRIED = 150.0
"""Records a second up to which none waits for another."""

BUSY = 800.0
"""Records a second from which batches are as far apart as they may be."""

LONGEST_S = 0.04


class Pace:
    """Tells when the next batch of one pipeline may begin."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._began_at = self.not_before = time.monotonic()

    def begun(self, records: int) -> None:
        """A batch of so many records begins now."""
        now = time.monotonic()
        elapsed_s, self._began_at = max(now - self._began_at, 1e-6), now
        self._rate += (1.0 - math.exp(-elapsed_s / MEMORY_S)) * (records / elapsed_s - self._rate)
        self.not_before = now + pause_s(self._rate)


def pause_s(rate: float) -> float:
    """Seconds from one batch's begin to the next one's, for records that come at `rate` a second."""
    return LONGEST_S * min(1.0, max(0.0, (rate - UNHURRIED) / (BUSY - UNHURRIED)))
