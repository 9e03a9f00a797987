"""Every reachable world of both sagas: nothing bad in any of them, and a good end in reach of each.

The safety rules themselves are in `tests/sim/world.py`; exploring at all is to check them.
"""

import sys
from collections.abc import Callable

import pytest

from orchestrator.core.saga import DEADLINE_EXCEEDED, Phase
from orchestrator.core.sagas import CANCEL, DEFINITIONS, ORDER
from tests.exhaustive.explorer import Exploration, explore
from tests.exhaustive.saga_worlds import SagaModel, World
from tests.sim.world import CANCELLED, CONFIRMED, UNSHIPPED, Shop

WORLDS = {"order": 6649, "cancel": 1134}
"""Change these figures only if you know which worlds are new, or gone, and want it so."""


@pytest.fixture(scope="module")
def found() -> dict[str, Exploration[World]]:
    return {kind: explore(SagaModel(definition)) for kind, definition in DEFINITIONS.items()}


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_no_world_breaks_a_promise(
    found: dict[str, Exploration[World]], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    count = len(found[kind].worlds)
    with capsys.disabled():
        sys.stdout.write(f" [{count:,} worlds of the {kind} saga] ")
    assert count == WORLDS[kind]


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_from_every_world_messages_and_timers_alone_lead_to_an_end(
    found: dict[str, Exploration[World]], kind: str
) -> None:
    assert found[kind].livelocked() == set()


def _ended(outcome: str, reason: str) -> Callable[[World], bool]:
    return lambda w: (w.saga.outcome, w.saga.reason) == (outcome, reason)


def _shop(wanted: Callable[[Shop], bool]) -> Callable[[World], bool]:
    return lambda w: w.saga.phase is Phase.ENDED and wanted(w.shop)


REACHABLE: dict[str, Callable[[World], bool]] = {
    "the order is confirmed": _ended("completed", ""),
    "a participant refuses, all is undone": _ended("compensated", "refused"),
    "the deadline passes, all is undone": _ended("compensated", DEADLINE_EXCEEDED),
    "goods were held and are released": _shop(lambda s: "order.release" in s.effects),
    "a card was charged and is refunded": _shop(lambda s: "order.refund" in s.effects),
    "both were done, and both are undone": _shop(lambda s: {"order.release", "order.refund"} <= s.effects),
    "nothing was ever done": _shop(lambda s: s.effects == {"order.reject"}),
    "the undo overtakes its step, which meets a tombstone": lambda w: (
        "order.charge" in w.asks
        and ("order.refund", True) in w.shop.inbox
        and ("order.charge", False) in w.shop.inbox
        and w.saga.reason == DEADLINE_EXCEEDED
    ),
    "shipped and confirmed, but the orchestrator does not know yet": lambda w: (
        w.shop.effects == CONFIRMED and w.saga.phase is Phase.FORWARD and not w.answers
    ),
    "a message arrives after the end": lambda w: w.saga.phase is Phase.ENDED and bool(w.asks),
}


@pytest.mark.parametrize("name", REACHABLE)
def test_an_order_can_come_to_where(found: dict[str, Exploration[World]], name: str) -> None:
    assert any(map(REACHABLE[name], found["order"].worlds))


def test_a_cancellation_always_ends_cancelled(found: dict[str, Exploration[World]]) -> None:
    ends = [w for w in found[CANCEL.kind].worlds if w.saga.phase is Phase.ENDED]
    assert ends
    assert {w.shop.effects for w in ends} == {CANCELLED, CANCELLED - UNSHIPPED}
    assert {w.saga.outcome for w in ends} == {"completed"}


def test_what_is_refused_or_late_before_the_pivot_never_reaches_the_second_stage(
    found: dict[str, Exploration[World]],
) -> None:
    for world in found[ORDER.kind].worlds:
        if world.saga.reason:
            assert not {"order.ship", "order.confirm"} & world.shop.effects
