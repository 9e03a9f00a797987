"""Whatever the weather, a saga ends, and ends well. A failing seed replays exactly.

The promises are checked in `world.py`, after every event. To look at one schedule:
`python -m pytest tests/sim -k replay`, after adding its seed to seeds.txt.
"""

import os
import sys
from collections import Counter
from pathlib import Path
from time import perf_counter

import pytest

from orchestrator.core.journal import unfold
from tests.sim.shrinking import explained
from tests.sim.simulator import ORDER_ID, Schedule, simulate

SEEDS = [
    int(line.split()[0])
    for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
SCHEDULES = int(os.environ.get("SIM_SCHEDULES", "10000"))

RARE = {
    "order completed": 0.25,
    "cancel completed": 0.1,
    "order compensated refused": 0.1,
    "order compensated deadline-exceeded": 0.01,
    "crash before the state was saved": 0.05,
    "crash after the state was saved, before anything was sent": 0.05,
    "a timer forgotten in a crash": 0.05,
    "a lost message": 0.2,
    "a repeated message": 0.2,
    "an answer late or repeated": 0.1,
    "a step asked again after it was decided": 0.2,
    "a step that must happen failed for now": 0.05,
    "a participant was down": 0.05,
    "an undo before its step": 0.02,
}
"""The least share of schedules that must see it. Without this, a simulator whose timers are too eager,
or whose network is too bad, tests nothing but retries."""


def replay(seed: int) -> Schedule:
    try:
        return simulate(seed)
    except Exception as broken:
        broken.add_note(f"seed {seed}: add it to tests/sim/seeds.txt, with the reason")
        broken.add_note(explained(lambda dice, picture: simulate(seed, None, dice, picture), seed))
        raise


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_that_once_failed_replays(seed: int) -> None:
    assert replay(seed).log == replay(seed).log


def test_every_schedule_ends_well_and_together_they_see_everything(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: Counter[str] = Counter()
    started = perf_counter()
    for seed in range(SCHEDULES):
        seen.update(replay(seed).seen)
    rate = SCHEDULES / (perf_counter() - started)
    with capsys.disabled():
        sys.stdout.write(f" [{SCHEDULES:,} schedules, {rate:,.0f} a second] ")
    too_rare = {what: seen[what] for what, share in RARE.items() if seen[what] < share * SCHEDULES}
    assert not too_rare, f"of {SCHEDULES} schedules, only so many saw: {too_rare}"


@pytest.mark.parametrize("seeds", [range(start, start + 50) for start in (0, 50, 100, 150)], ids=str)
def test_the_journal_of_every_schedule_tells_how_it_ended(seeds: range) -> None:
    for seed in seeds:
        schedule = replay(seed)
        history = unfold(schedule.definition, ORDER_ID, schedule.log)
        states = [e.what for e in history if e.role == "orchestrator" and e.kind == "state"]
        assert states[-1] == f"ended: {schedule.saga.outcome}", f"seed {seed}"
        done = {e.what for e in history if e.kind == "state" and e.what.endswith(" done")}
        happened = {f"{step} done" for step in schedule.shop.effects}
        assert done <= happened | {f"{undo} done" for undo in ("order.release", "order.refund")}, (
            f"seed {seed}"
        )
