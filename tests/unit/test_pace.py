"""A record that comes alone waits for nobody; a crowd waits for its like, but not long."""

import pytest

from services.runtime import pace
from services.runtime.pace import LONGEST_S, UNHURRIED, Pace, pause_s


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


def run(clock: Clock, kept: Pace, rate: float, batch: int, seconds: float) -> None:
    for _ in range(int(seconds * rate / batch)):
        clock.now += batch / rate
        kept.begun(batch)


def test_a_faster_stream_waits_longer_up_to_a_bound() -> None:
    pauses = [pause_s(rate) for rate in range(0, 2000, 10)]
    assert pauses[0] == pause_s(UNHURRIED) == 0
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_S


def test_who_comes_after_a_quiet_time_is_not_kept_waiting(clock: Clock) -> None:
    kept = Pace()
    run(clock, kept, rate=1000, batch=50, seconds=2)
    assert kept.not_before - clock.now == pytest.approx(LONGEST_S)
    clock.now += 2
    kept.begun(1)
    assert kept.not_before == clock.now


@pytest.mark.parametrize("batch", [1, 10, 100])
def test_the_pause_depends_on_the_rate_and_not_on_how_it_was_cut(clock: Clock, batch: int) -> None:
    kept = Pace()
    run(clock, kept, rate=150, batch=batch, seconds=4)
    assert kept.not_before - clock.now == pytest.approx(pause_s(150), rel=0.5)
