"""How long a saga waits before it asks again, and before it gives up. Pure: the dice are passed in."""

PATIENCE_S = 1.0
"""What an answer may take before its silence means anything: four times our p99 at 70 % of the peak."""

BASE_S = 1.0
CAP_S = 30.0
"""Long enough that a dead participant's queue stays short, short enough that nobody reaches for the
operator's "retry now" after an ordinary restart."""

DEADLINE_S = 60.0
"""From its start until an order that is still before the pivot is given up. A customer has left by then,
and held goods are missing from the shelf; yet it outlasts the restart of any one server."""


def delay_s(attempt: int, fraction: float) -> float:
    """Seconds until the timer of the `attempt`-th asking (from 1); `fraction` is random in [0, 1).

    Capped exponential backoff with full jitter: M. Brooker, "Exponential Backoff And Jitter", AWS
    Architecture Blog, 2015. Full jitter may come to nothing, which is right after a failure but not
    after a question, so the patience for an answer comes before it.
    """
    assert attempt >= 1 and 0.0 <= fraction < 1.0, (attempt, fraction)
    return PATIENCE_S + fraction * (longest_s(attempt) - PATIENCE_S)


def longest_s(attempt: int) -> float:
    """What `delay_s` stays below, whatever the dice."""
    doublings = min(attempt - 1, 10)  # beyond the cap anyway; 2.0 ** 1024 would overflow
    return PATIENCE_S + min(CAP_S, BASE_S * 2.0**doublings)


RACE_BASE_S = 0.02
RACE_CAP_S = 2.0
"""Prepared locks are held for milliseconds: long enough that the winner has gone, short for a customer."""


def rest_s(attempt: int, fraction: float) -> float:
    """Seconds until the round after the `attempt`-th that lost a race. No patience here: nobody is asked."""
    assert attempt >= 1 and 0.0 <= fraction < 1.0, (attempt, fraction)
    return fraction * min(RACE_CAP_S, RACE_BASE_S * 2.0 ** min(attempt - 1, 10))
