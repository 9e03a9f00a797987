"""Every reachable world of a transaction under three-phase commit: the living agree, and finish.

And what it cannot do: when the network parts the living, they diverge. The shortest way there is kept here.
"""

import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.core.commit import Phase
from orchestrator.core.exchange import Round, State
from orchestrator.core.participant import NEVER, state
from tests.exhaustive.commit_worlds import Health, Scope, World
from tests.exhaustive.explorer import Exploration, explore
from tests.exhaustive.three_phase_worlds import ThreePhaseModel
from tests.sim.commit_world import agree, committed

NOBODY: frozenset[str] = frozenset()
TWO = Scope(2, refusable=NOBODY, epochs=1, busy=False, paused=False, alike=False)
HELPED = replace(TWO, epochs=2, helped=True)
SCOPES = {
    "two, who die and restart": replace(TWO, deaths=2, deadly=True),
    "three, of whom two die": replace(TWO, participants=3, deaths=2, deadly=True, restarts=False),
    "two, and a new coordinator": replace(HELPED, refusable=frozenset("a")),
    "two, of whom one dies and restarts, and a new coordinator": replace(HELPED, deaths=1, anew=False),
}
WORLDS = {
    "two, who die and restart": 11824,
    "three, of whom two die": 67027,
    "two, and a new coordinator": 8682,
    "two, of whom one dies and restarts, and a new coordinator": 51184,
}
"""Change these figures only if you know which worlds are new, or gone, and want it so."""


pytestmark = pytest.mark.timeout(900)  # the exploration is the set-up of whichever test comes first


@pytest.fixture(scope="module")
def found() -> dict[str, Exploration[World]]:
    return {name: explore(ThreePhaseModel(scope)) for name, scope in SCOPES.items()}


@pytest.mark.parametrize("name", SCOPES)
def test_no_world_breaks_a_promise(
    found: dict[str, Exploration[World]], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    count = len(found[name].worlds)
    with capsys.disabled():
        sys.stdout.write(f" [3PC, {name}: {count:,} worlds] ")
    assert count == WORLDS[name]


@pytest.mark.parametrize("name", SCOPES)
def test_the_living_finish(found: dict[str, Exploration[World]], name: str) -> None:
    """Without help: nobody restarts and no coordinator takes over, and yet nobody who lived all along
    stays in doubt. With help: everything comes to its end."""
    assert found[name].livelocked() == set()


def _dead(world: World) -> bool:
    return not world.owners and any(seat.health is not Health.UP for seat in world.seats)


REACHABLE: dict[str, Callable[[World], bool]] = {
    "all is committed": lambda w: w.over and committed(w.sites) == {"a"},
    "all is aborted": lambda w: w.over and not committed(w.sites),
    "the participants commit without their coordinator": lambda w: (
        not w.owners and w.record is not None and w.record.phase is Phase.PRECOMMITTING
        and all(site.branch.committed for site in w.sites)
    ),
    "the participants abort without their coordinator": lambda w: (
        not w.owners and w.record is not None and w.record.phase is Phase.PRECOMMITTING
        and all(state(site.branch, Round(1, 1)) is State.ABORTED for site in w.sites)
    ),
    "a survivor commits alone": lambda w: _dead(w) and [bool(s.branch.committed) for s in w.sites] == [0, 1],
    "a survivor aborts alone": lambda w: _dead(w) and [s.branch.buried != NEVER for s in w.sites] == [0, 1],
    "a new coordinator learns what they did": lambda w: w.epoch == 2 and any(
        o.txn is not None and o.txn.phase is Phase.LEARNING for o in w.owners
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REACHABLE)
def test_it_can_come_to_where(found: dict[str, Exploration[World]], name: str) -> None:
    assert any(exploration.nearest(REACHABLE[name]) for exploration in found.values())


DIVERGES = """\
Prepare 1.1 → order: yes
Prepare 1.1 → inventory: yes
coordinator 1 hears: order votes yes
coordinator 1 hears: inventory votes yes
PreCommit 1.1 → order: pre-committed
coordinator 1 hears: order is pre-committed
the network parts inventory from the rest
inventory misses its coordinator
inventory asks inventory, Inquire 1.1: waiting
inventory waits no longer
inventory asks inventory, Inquire 1.1: waiting
inventory hears: inventory is waiting
Abort 1.1 from inventory → inventory: aborted
coordinator 1 hears: TimedOut
Commit 1.1 → order: committed
""".splitlines()


def test_a_partition_splits_the_living(capsys: pytest.CaptureFixture[str]) -> None:
    """Not a bug but a theorem: D. Skeen, "A quorum-based commit protocol", 1982, shows what it would take."""
    parted = explore(ThreePhaseModel(replace(TWO, partition=True)))
    world = parted.nearest(lambda w: not agree(w.sites))
    assert world is not None
    moves = parted.schedule(world)
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(["3PC diverges:", "Prepare is sent", *moves]) + "\n")
    assert moves == DIVERGES


def test_without_a_partition_the_same_search_finds_nothing() -> None:
    whole = explore(ThreePhaseModel(TWO))
    assert all(agree(world.sites) for world in whole.worlds)
