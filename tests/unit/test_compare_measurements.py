"""What each kind of measurement tells, as the figures of a cell."""

from collections import Counter
from typing import Any

import pytest

from lab.compare import figures
from lab.compare.accepted import Away
from lab.compare.costs import Costs, per_order
from lab.compare.plan import Cell
from lab.crash.crash import Result
from lab.stats import SHARES, drift

LOADED: dict[str, Any] = {
    "orders": 11,
    "confirmed": 8,
    "refused": 3,
    "unfinished": 0,
    "retried": 4,
    "timed": 9,
    "rate": 30.04,
    "drift": 1.5,
    "finished_per_s": 29.0,
    "latency_ms": dict.fromkeys(SHARES, 1.0),
    "cpu_us_per_order": {"order-1": 10, "postgres-order": 20, "python": 10, "client": 500},
    "rss_mib": {"python": 70.0},
}
SEEN: dict[str, Any] = {
    "orders": 11,
    "confirmed": 8,
    "refused": 3,
    "unfinished": 0,
    "reads": 90,
    "violations": 0,
    "readers": {
        "plain": {"fractured": {"orders": 7}, "dirty": {"orders": 6}},
        "coordinated": {"fractured": {"orders": 2}, "dirty": {"orders": 5}},
    },
}


def test_a_load_tells_its_figures_and_all_parts_cost_but_the_client() -> None:
    one = figures.of_load(Cell("rate", "saga", level=0.3), LOADED)
    for name in (
        "orders",
        "confirmed",
        "refused",
        "retried",
        "timed",
        "drift",
        "finished_per_s",
        "latency_ms",
    ):
        assert getattr(one, name) == LOADED[name]
    assert one.offered_per_s == 30.0
    assert one.cpu_us == LOADED["cpu_us_per_order"] | {"all": 30}
    closed = figures.of_load(Cell("peak", "saga"), LOADED | {"rate": None})
    assert (closed.offered_per_s, closed.drift) == (0, 0)
    assert one.wrong == []
    assert figures.of_load(Cell("peak", "saga"), LOADED | {"unfinished": 2}).wrong == [
        "2 orders did not finish"
    ]


def test_readers_tell_what_they_saw() -> None:
    one = figures.of_readers(Cell("readers", "2pc"), SEEN)
    assert (one.torn, one.dirty, one.reads) == ({"plain": 7, "coordinated": 2}, 5, 90)
    assert one.wrong == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"violations": 2}, "2 reads that 2pc excludes"),
        ({"unfinished": 1}, "1 orders did not finish"),
        ({"reads": 0}, "nobody could read"),
    ],
)
def test_what_readers_could_not_see_is_no_figure(change: dict[str, int], words: str) -> None:
    assert figures.of_readers(Cell("readers", "2pc"), SEEN | change).wrong == [words]


def test_an_absence_tells_what_was_accepted_and_what_became_of_it() -> None:
    away = Away(50, 40, Counter({"CONFIRMED": 30, "REFUSED": 8}), in_doubt_s=3.0, recovery_s=4.0)
    one = figures.of_absence(Cell("participant-away", "2pc"), away)
    assert (one.orders, one.accepted, one.confirmed, one.refused, one.unfinished) == (50, 40, 30, 8, 2)
    assert (one.in_doubt_s, one.recovery_s) == (3.0, 4.0)
    assert one.wrong == ["2 orders did not finish"]


def test_a_loss_tells_how_long_it_was_felt() -> None:
    result = Result("2pc", "at", "restart", "payment-1", 3.0, 4.0, 160, 5, 0, ["lost"], 9.0, [1, 2])
    one = figures.of_loss(Cell("participant-dies", "2pc"), result)
    assert (one.in_doubt_s, one.recovery_s, one.orders, one.retried) == (3.0, 4.0, 160, 5)
    assert (one.timeline, one.wrong) == ([1, 2], ["lost"])


def test_costs_are_what_was_spent_since_by_each_database_and_by_all() -> None:
    before = {"order": Costs(10, 100, 1), "payment": Costs(20, 200, 2)}
    after = {"order": Costs(14, 180, 3), "payment": Costs(30, 260, 8)}
    assert per_order(before, after, 4) == {
        "commits": {"order": 1.0, "payment": 2.5, "all": 3.5},
        "wal_bytes": {"order": 20.0, "payment": 15.0, "all": 35.0},
        "fsyncs": {"order": 0.5, "payment": 1.5, "all": 2.0},
    }


def test_drift_is_of_those_that_pile_up() -> None:
    assert drift([5.0, 1.0, 1.0, 5.0, 1.0, 1.0, 5.0, 1.0, 1.0]) == 1.0
    assert drift([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]) == 4.0
    assert drift([1.0, 2.0]) == 0.0
