"""Whatever the weather, all participants agree, every order is answered, and no goods are lost.

The promises are checked in `commit_world.py`, after every act. To look at one schedule:
`python -m pytest tests/sim -k replay`, after adding its seed to commit_seeds.txt.
"""

import os
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter

import pytest

from tests.sim.commit_simulator import Schedule, simulate
from tests.sim.commit_world import THREE_PHASE, TWO_PHASE, Protocol
from tests.sim.shrinking import Picture, explained

PROTOCOLS = {"2pc": TWO_PHASE, "3pc": THREE_PHASE}
SEEDS = [
    (line.split()[0], int(line.split()[1]))
    for line in (Path(__file__).parent / "commit_seeds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
SCHEDULES = int(os.environ.get("SIM_SCHEDULES", "10000")) // 10
"""Of each protocol. Each has up to five transactions of up to three orders, and lasts ten times a saga's."""

RARE = {
    "2pc": {
        "ended committed": 0.4,
        "ended aborted": 0.3,
        "some refused, the rest committed": 0.1,
        "a lost race": 0.3,
        "a lost message": 0.2,
        "an answer too late": 0.4,
        "a coordinator died before it heard": 0.1,
        "a coordinator died half-way": 0.1,
        "a participant in doubt asked": 0.2,
        "an owner was overtaken alive": 0.3,
        "a stale owner was refused its write": 0.1,
    },
    "3pc": {
        "ended committed": 0.4,
        "ended aborted": 0.2,
        "some refused, the rest committed": 0.1,
        "a lost race": 0.2,
        "a coordinator died half-way": 0.1,
        "a participant died": 0.3,
        "participants went on alone": 0.2,
    },
}
"""The least share of schedules that must see it."""


def again(seed: int, protocol: Protocol, dice: Random, picture: Picture | None) -> Schedule:
    return simulate(seed, protocol, dice=dice, picture=picture)


def replay(protocol: str, seed: int) -> Schedule:
    try:
        return simulate(seed, PROTOCOLS[protocol])
    except Exception as broken:
        broken.add_note(f"{protocol} {seed}: add it to tests/sim/commit_seeds.txt, with the reason")
        broken.add_note(explained(partial(again, seed, PROTOCOLS[protocol]), seed))
        raise


@pytest.mark.parametrize(("protocol", "seed"), SEEDS)
def test_a_seed_that_once_failed_replays(protocol: str, seed: int) -> None:
    one, two = replay(protocol, seed), replay(protocol, seed)
    assert (one.events, one.now, one.records) == (two.events, two.now, two.records)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_schedule_ends_well_and_together_they_see_everything(
    protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: Counter[str] = Counter()
    started = perf_counter()
    for seed in range(SCHEDULES):
        seen.update(replay(protocol, seed).seen)
    rate = SCHEDULES / (perf_counter() - started)
    with capsys.disabled():
        sys.stdout.write(f" [{SCHEDULES:,} schedules of {protocol}, {rate:,.0f} a second] ")
    too_rare = {what: seen[what] for what, share in RARE[protocol].items() if seen[what] < share * SCHEDULES}
    assert not too_rare, f"of {SCHEDULES} schedules, only so many saw: {too_rare}"


def test_under_a_partition_three_phase_commit_splits_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As the theorem says; what the audit is there to notice."""
    split = sum(simulate(seed, THREE_PHASE, partition=True).split for seed in range(SCHEDULES // 2))
    with capsys.disabled():
        sys.stdout.write(f" [{split} of {SCHEDULES // 2} schedules with a partition split] ")
    assert 0 < split < SCHEDULES // 4
