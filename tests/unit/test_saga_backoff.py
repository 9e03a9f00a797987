"""How long a saga waits before it asks again."""

import pytest

from orchestrator.core.backoff import BASE_S, CAP_S, DEADLINE_S, PATIENCE_S, delay_s

ALMOST_ONE = 1 - 1e-9


def test_an_answer_is_given_its_time_before_it_is_asked_for_again() -> None:
    assert all(delay_s(attempt, 0.0) == PATIENCE_S for attempt in range(1, 100))


def test_the_window_doubles_with_each_attempt_up_to_the_cap() -> None:
    windows = [round(delay_s(attempt, ALMOST_ONE) - PATIENCE_S, 6) for attempt in range(1, 9)]
    assert windows == [1, 2, 4, 8, 16, 30, 30, 30]
    assert windows[0] == BASE_S
    assert windows[-1] == CAP_S


def test_the_jitter_is_full() -> None:
    assert delay_s(3, 0.25) == PATIENCE_S + 1.0
    assert delay_s(3, 0.5) == PATIENCE_S + 2.0


def test_a_million_attempts_later_it_still_waits_no_longer_than_the_cap() -> None:
    assert delay_s(10**6, ALMOST_ONE) <= PATIENCE_S + CAP_S


@pytest.mark.parametrize(("attempt", "fraction"), [(0, 0.5), (1, 1.0), (1, -0.1)])
def test_nonsense_is_a_bug(attempt: int, fraction: float) -> None:
    with pytest.raises(AssertionError):
        delay_s(attempt, fraction)


def test_before_the_deadline_there_is_time_to_ask_several_times() -> None:
    assert sum(delay_s(attempt, 0.5) for attempt in range(1, 6)) < DEADLINE_S
