"""A failing schedule is made small and drawn; that it still fails, and as before, is what is tested here."""

import re
from collections.abc import Callable
from random import Random

import pytest

from tests.sim import planted, planted_commits
from tests.sim.commit_simulator import simulate as simulate_commit
from tests.sim.shrinking import DULL, Picture, Tape, explained, small
from tests.sim.simulator import simulate
from tests.sim.world import Violation

MUCH = 0.25
"""What is left, at most, of the chances of a schedule."""


Run = Callable[[int, Random, Picture | None], object]


def first_that_fails(run: Run, seeds: range) -> tuple[int, str]:
    """And the beginning of what it said."""
    for seed in seeds:
        try:
            run(seed, Random(seed), None)
        except (Violation, AssertionError) as broken:
            return seed, re.split(r"[\d:]", f"{type(broken).__name__}: {broken}".replace(": ", " ", 1))[0]
    raise AssertionError("no seed fails")


@pytest.mark.parametrize(
    "bug", [bug for bug in planted.BUGS if "simulator" in bug.caught_by], ids=lambda bug: bug.name
)
def test_of_a_planted_bug_in_a_saga_little_is_left(bug: planted.Bug) -> None:
    def run(seed: int, dice: Random, picture: Picture | None) -> object:
        return simulate(seed, bug.rules, dice, picture)

    seed, said = first_that_fails(run, range(1000))
    draws, first, picture = small(lambda dice, drawn: run(seed, dice, drawn), seed)
    left = sum(draw not in (0, DULL) for draw in draws)
    assert left <= max(MUCH * first, 4), picture
    assert picture.splitlines()[-1].replace(": ", " ", 1).startswith(said)
    assert "orchestrator" in picture.splitlines()[0]


def test_of_a_planted_bug_in_a_commit_the_picture_shows_how() -> None:
    [bug] = [bug for bug in planted_commits.BUGS if bug.name == "commits_when_a_majority_votes_yes"]

    def run(seed: int, dice: Random, picture: Picture | None) -> object:
        return simulate_commit(seed, bug.protocol, dice=dice, picture=picture)

    seed, _ = first_that_fails(run, range(500))
    told = explained(lambda dice, picture: run(seed, dice, picture), seed)
    [left] = re.findall(r"\((\d+) chances of \d+\)", told)
    assert int(left) <= 10, told
    assert "votes" in told and "is durable" in told and "Commit" in told
    assert told.splitlines()[-1].startswith("Violation: split")


def test_a_tape_draws_what_the_seed_would_and_can_be_played_again() -> None:
    plain, tape = Random(7), Tape(seed=7)

    def some(dice: Random) -> list[float]:
        return [dice.random(), dice.choice((1, 2, 3)), dice.randint(0, 99), dice.expovariate(2.0)]

    drawn = some(tape)
    assert drawn == some(plain)
    assert some(Tape(tape.drawn)) == drawn
    assert some(Tape([])) == [DULL, 1, 0, pytest.approx(0.3466, abs=1e-4)]
