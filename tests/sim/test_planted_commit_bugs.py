"""Who tests the tests of two- and three-phase commit: each planted bug is caught, and by whom.

The explorer sees what takes several deaths at the wrong moments. It drops old requests that the real code
takes for nothing, and counts no attempts, so two bugs are the simulator's.
"""

from dataclasses import replace

import pytest

from tests.exhaustive.commit_worlds import CommitModel, Scope
from tests.exhaustive.explorer import explore
from tests.exhaustive.three_phase_worlds import ThreePhaseModel
from tests.exhaustive.two_phase_worlds import TwoPhaseModel
from tests.sim.commit_simulator import simulate
from tests.sim.commit_world import THREE_PHASE, TWO_PHASE, Protocol, committed
from tests.sim.planted_commits import BUGS, Bug
from tests.sim.world import Violation

ALONE = Scope(2, refusable=frozenset(), epochs=1, busy=False, paused=False, alike=False, deadly=True)
SCHEDULES = 120


def models(protocol: Protocol) -> list[CommitModel]:
    if protocol.begin is THREE_PHASE.begin:
        helped = replace(ALONE, epochs=2, deadly=False, helped=True)
        return [
            ThreePhaseModel(replace(ALONE, deaths=2), protocol),
            ThreePhaseModel(helped, protocol),
        ]
    group = frozenset({"a", "b"})
    return [
        TwoPhaseModel(Scope(2), protocol),
        TwoPhaseModel(Scope(2, ("a", "b"), group, rounds=2, epochs=1, busy=False), protocol),
    ]


def explorer_objects(protocol: Protocol) -> bool:
    try:
        for model in models(protocol):
            found = explore(model)
            if found.livelocked() or not found.nearest(lambda w: w.over and bool(committed(w.sites))):
                return True
    except (Violation, AssertionError):
        return True
    return False


def simulator_objects(protocol: Protocol) -> bool:
    ends: set[str] = set()
    for seed in range(SCHEDULES):
        try:
            ends |= simulate(seed, protocol).seen
        except (Violation, AssertionError):
            return True
    return "ended committed" not in ends


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(bug: Bug) -> None:
    caught = {
        name
        for name, objects in (("explorer", explorer_objects), ("simulator", simulator_objects))
        if objects(bug.protocol)
    }
    assert caught == bug.caught_by


@pytest.mark.parametrize("protocol", [TWO_PHASE, THREE_PHASE], ids=["2pc", "3pc"])
def test_the_real_code_is_not(protocol: Protocol) -> None:
    assert not explorer_objects(protocol)
    assert not simulator_objects(protocol)
