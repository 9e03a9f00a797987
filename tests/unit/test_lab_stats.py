"""The numbers that a benchmark is judged by."""

import random
from collections import Counter

import pytest

from lab.stats import arrivals, draw, percentile, slices, summary


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.95, 95), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_a_percentile_is_the_value_at_the_nearest_rank(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


def test_the_percentile_of_one_value_is_that_value_and_of_nothing_zero() -> None:
    assert [percentile([7.0], share) for share in (0.0, 0.5, 0.99)] == [7.0, 7.0, 7.0]
    assert percentile([], 0.99) == 0.0


def test_a_summary_does_not_need_sorted_values() -> None:
    assert summary([3, 1, 2]) == {"p5": 1, "p25": 1, "p50": 2, "p75": 3, "p95": 3, "p99": 3, "max": 3}


def test_without_skew_every_rank_is_drawn_about_as_often() -> None:
    counts = Counter(draw(random.Random(1), 10, 0.0, 10_000))
    assert set(counts) == set(range(10))
    assert max(counts.values()) < 1.2 * min(counts.values())


def test_with_skew_one_the_first_rank_is_drawn_twice_as_often_as_the_second() -> None:
    counts = Counter(draw(random.Random(1), 1_000, 1.0, 100_000))
    assert counts[0] / counts[1] == pytest.approx(2.0, rel=0.1)
    assert counts[0] / counts[9] == pytest.approx(10.0, rel=0.2)
    assert max(counts) < 1_000


def test_a_seed_draws_the_same_again() -> None:
    assert draw(random.Random(5), 100, 0.8, 50) == draw(random.Random(5), 100, 0.8, 50)


def test_uniform_arrivals_are_evenly_spaced() -> None:
    assert arrivals(random.Random(1), 4.0, 5, poisson=False) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_poisson_arrivals_keep_the_rate_and_never_go_back() -> None:
    starts = arrivals(random.Random(1), 100.0, 10_000, poisson=True)
    assert starts == sorted(starts)
    assert starts[-1] == pytest.approx(100.0, rel=0.05)


def test_slices_are_counted_until_the_last_that_has_any() -> None:
    assert slices([0.0, 0.49, 0.5, 1.9], 0.5) == [2, 1, 0, 1]
    assert slices([], 0.5) == []
