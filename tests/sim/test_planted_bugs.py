"""Who tests the tests: each planted bug is caught, and by whom.

What only one of the two finds says what each is for. The explorer sees that a late timer is not silent,
or that one step waits for nobody, even where time would heal it. Only the simulator counts attempts.
"""

import pytest

from orchestrator.core.sagas import ORDER
from tests.exhaustive.explorer import explore
from tests.exhaustive.saga_worlds import SagaModel
from tests.sim.planted import BUGS, Bug
from tests.sim.simulator import simulate
from tests.sim.test_saga_schedules import SEEDS
from tests.sim.world import Rules, Violation


def explorer_objects(rules: Rules) -> bool:
    try:
        return bool(explore(SagaModel(ORDER, rules)).livelocked())
    except Violation:
        return True


def simulator_objects(rules: Rules) -> bool:
    for seed in (*SEEDS, *range(1000)):
        try:
            simulate(seed, rules)
        except Violation:
            return True
    return False


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(bug: Bug) -> None:
    caught = {
        name
        for name, objects in (("explorer", explorer_objects), ("simulator", simulator_objects))
        if objects(bug.rules)
    }
    assert caught == bug.caught_by


def test_the_real_code_is_not() -> None:
    assert not explorer_objects(Rules())
    assert not simulator_objects(Rules())
