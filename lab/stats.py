"""The few numbers that a load test is judged by."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence

SHARES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99, "max": 1.0}


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed (nearest rank); 0 of nothing."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {name: round(percentile(ordered, share), 2) for name, share in SHARES.items()}


def drift(values: Sequence[float]) -> float:
    """The median of the last third of them divided by the first third's; 0 of few.

    Of the latencies of an open loop, in the order of their starts: well above 1, and work piles up.
    """
    third = len(values) // 3
    first, last = (percentile(sorted(part), 0.5) for part in (values[:third], values[len(values) - third :]))
    return round(last / first, 2) if first else 0.0


def slices(moments: Sequence[float], width: float) -> list[int]:
    """How many of them are in each slice of this width from zero, until the last that has any."""
    counted = Counter(int(moment // width) for moment in moments)
    return [counted[at] for at in range(max(counted, default=-1) + 1)]


def zipf_weights(size: int, skew: float) -> list[float]:
    """Cumulative weights of ranks 1..size where rank k weighs k**-skew; skew 0 is uniform."""
    return list(itertools.accumulate(rank**-skew for rank in range(1, size + 1)))


def draw(rng: random.Random, size: int, skew: float, count: int) -> list[int]:
    """`count` ranks in 0..size-1, the low ones more often the higher the skew."""
    if skew == 0:
        return [rng.randrange(size) for _ in range(count)]
    return rng.choices(range(size), cum_weights=zipf_weights(size, skew), k=count)


def arrivals(rng: random.Random, rate: float, count: int, *, poisson: bool) -> list[float]:
    """Intended start times in seconds from zero: open-loop arrivals that wait for nobody."""
    if not poisson:
        return [n / rate for n in range(count)]
    return list(itertools.accumulate(rng.expovariate(rate) for _ in range(count)))
