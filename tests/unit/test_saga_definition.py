"""A saga that could not end, or not be undone, cannot be written down."""

import pytest

from orchestrator.core.definition import Definition, Step
from orchestrator.core.sagas import CANCEL, DEFINITIONS, ORDER

HOLD = Step("hold", "inventory", undo="release")
CHARGE = Step("charge", "payment", undo="refund")
SHIP = Step("ship", "inventory")
REJECT = Step("reject", "order")


@pytest.mark.parametrize(
    ("why", "stages", "on_refusal"),
    [
        ("a stage without steps", (), None),
        ("a stage without steps", ((SHIP,), ()), None),
        ("two steps of one name", ((SHIP,), (SHIP,)), None),
        ("two steps of one name", ((HOLD, Step("other", "order", undo="release")),), REJECT),
        ("two steps of one name", ((HOLD,),), Step("release", "order")),
        ("some of a stage cannot be undone", ((HOLD, SHIP),), REJECT),
        ("an undo after the pivot", ((SHIP,), (HOLD,)), REJECT),
        ("on_refusal iff undoable", ((HOLD,),), None),
        ("on_refusal iff undoable", ((SHIP,),), REJECT),
        ("a rejection is final", ((HOLD,),), Step("reject", "order", undo="accept")),
    ],
)
def test_a_definition_is_refused(
    why: str, stages: tuple[tuple[Step, ...], ...], on_refusal: Step | None
) -> None:
    with pytest.raises(AssertionError, match=why):
        Definition("bad", stages, on_refusal)


def test_a_definition_knows_all_that_can_be_asked_and_of_whom() -> None:
    definition = Definition("shop", ((HOLD, CHARGE), (SHIP,)), REJECT)
    assert {s.name: s.participant for s in definition.asked()} == {
        "hold": "inventory",
        "charge": "payment",
        "ship": "inventory",
        "release": "inventory",
        "refund": "payment",
        "reject": "order",
    }
    assert definition.undoes() == {"release": "hold", "refund": "charge"}


def test_the_shop_has_two_sagas_with_the_names_on_the_wire() -> None:
    assert DEFINITIONS == {"order": ORDER, "cancel": CANCEL}
    assert [[s.name for s in stage] for stage in ORDER.stages] == [
        ["order.hold", "order.charge"],
        ["order.ship", "order.confirm"],
    ]
    assert ORDER.undoes() == {"order.release": "order.hold", "order.refund": "order.charge"}
    assert ORDER.on_refusal == Step("order.reject", "order")
    assert [[s.name for s in stage] for stage in CANCEL.stages] == [
        ["cancel.refund", "cancel.restock"],
        ["cancel.close"],
    ]
    assert CANCEL.undoes() == {}


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)
def test_a_step_is_named_after_its_saga(definition: Definition) -> None:
    """Inboxes are keyed by order and step: two sagas of one order must not meet there."""
    assert all(s.name.startswith(f"{definition.kind}.") for s in definition.asked())
