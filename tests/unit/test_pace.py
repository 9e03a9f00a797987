"""A record that comes alone waits for nobody; a crowd waits for its like, but not long."""

import pytest

from services.runtime import pace
from services.runtime.pace import ALONE, CROWDED, LONGEST_S, SHARE, Pace, apart_s


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def run(clock: Clock, kept: Pace, records: int, takes_s: float, seconds: float) -> None:
    until = clock.now + seconds
    while clock.now < until:
        clock.now = max(clock.now, kept.not_before)
        with kept.batch(records):
            clock.now += takes_s


def test_larger_and_slower_batches_are_farther_apart_up_to_a_bound() -> None:
    by_size = [apart_s(records, 0.02) for records in range(10)]
    assert by_size[0] == apart_s(ALONE, 0.02) == 0
    assert by_size == sorted(by_size)
    assert by_size[-1] == apart_s(CROWDED, 0.02) == pytest.approx(0.02 / SHARE)
    by_time = [apart_s(100, ms / 1000) for ms in range(0, 1000, 10)]
    assert by_time == sorted(by_time)
    assert by_time[-1] == LONGEST_S


def test_a_crowded_pipeline_works_a_share_of_its_time(clock: Clock) -> None:
    kept = Pace()
    run(clock, kept, records=50, takes_s=0.03, seconds=2)
    assert kept.not_before - (clock.now - 0.03) == pytest.approx(0.03 / SHARE, rel=0.01)


def test_who_comes_alone_is_not_kept_waiting_however_fast_one_follows_the_other(clock: Clock) -> None:
    kept = Pace()
    run(clock, kept, records=1, takes_s=0.005, seconds=2)
    assert kept.not_before <= clock.now


def test_who_comes_after_a_quiet_time_is_not_kept_waiting(clock: Clock) -> None:
    kept = Pace()
    run(clock, kept, records=50, takes_s=0.03, seconds=2)
    clock.now += 2
    with kept.batch(1):
        clock.now += 0.005
    assert kept.not_before <= clock.now


def test_a_batch_that_failed_has_taken_its_time_too(clock: Clock) -> None:
    kept = Pace()
    clock.now += 1
    with pytest.raises(OSError, match="away"), kept.batch(50):
        clock.now += 0.05
        raise OSError("away")
    assert kept.not_before > clock.now
