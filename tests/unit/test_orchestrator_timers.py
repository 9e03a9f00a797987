"""When a saga's timer is moved, and when it is left alone."""

import pytest

from orchestrator.core import saga as core
from orchestrator.core.backoff import DEADLINE_S, longest_s
from orchestrator.core.sagas import ORDER
from orchestrator.driver import Driver
from orchestrator.store import SagaRow
from services.runtime.database import Database
from tests.integration import sagas


@pytest.fixture
async def driver() -> Driver:
    """Connected to nothing: a timer is a value."""
    return sagas.driver("test", Database("postgresql://nowhere"))


def row(wakes_in_s: float | None, age_s: float = 0.0) -> SagaRow:
    saga, _ = core.begin(ORDER)
    return SagaRow("o", "order", 0, 1, saga, b"", "", wakes_in_s, "old", age_s, False)


def waits_s(row: SagaRow) -> float:
    assert row.wake_in_s is not None
    return row.wake_in_s


async def test_the_timer_of_a_phase_that_went_well_is_left_alone(driver: Driver) -> None:
    for wakes_in_s in (0.1, 1.0, longest_s(1) - 0.01):
        saga = row(wakes_in_s)
        driver._arm(saga, "new", 1)
        assert (saga.wake_in_s, saga.wake_for) == (wakes_in_s, "old")


async def test_no_question_waits_for_the_long_timer_of_a_phase_gone_by(driver: Driver) -> None:
    saga = row(31.0)
    driver._arm(saga, "new", 1)
    assert saga.wake_for == "new"
    assert 1.0 <= waits_s(saga) <= longest_s(1)


@pytest.mark.parametrize("wakes_in_s", [None, -1.0])
async def test_a_timer_that_rang_is_armed_anew(driver: Driver, wakes_in_s: float | None) -> None:
    saga = row(wakes_in_s)
    driver._arm(saga, "new", 1)
    assert saga.wake_for == "new"
    assert 1.0 <= waits_s(saga) <= longest_s(1)


async def test_before_the_pivot_no_timer_rings_after_the_deadline(driver: Driver) -> None:
    saga = row(None, age_s=DEADLINE_S - 0.5)
    driver._arm(saga, "new", 9)
    assert 0.0 < waits_s(saga) <= 0.5
