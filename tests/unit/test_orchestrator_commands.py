"""Every step of every saga is a message to somebody who takes it."""

from dataclasses import replace
from typing import get_args

import msgspec
import pytest

from orchestrator.commands import KIND_OF, REFUSABLE, STARTS, TOPIC_OF, UNDOES, command
from orchestrator.core.definition import Step
from orchestrator.core.saga import begin
from orchestrator.core.sagas import CANCEL, DEFINITIONS, ORDER
from services.contract import messages, topics
from services.contract.messages import Line, StartCancellation, StartOrder
from services.inventory import handlers as inventory
from services.order.handlers import SagaSteps
from services.payment import handlers as payment

START = StartOrder("ann", 39_98, "EUR", (Line("clock", 2, 19_99),))
PAYLOADS = {"order": msgspec.json.encode(START), "cancel": msgspec.json.encode(StartCancellation())}
STEPS = [(kind, step) for kind, definition in DEFINITIONS.items() for step in definition.asked()]
EVERY_STEP = pytest.mark.parametrize(("kind", "step"), STEPS, ids=[step.name for _, step in STEPS])


def told(kind: str, step: str) -> msgspec.Struct:
    saga, _ = begin(DEFINITIONS[kind])
    return command(step, PAYLOADS[kind], saga)


@EVERY_STEP
def test_every_step_goes_to_its_participant(kind: str, step: Step) -> None:
    assert TOPIC_OF[step.name] == topics.COMMANDS_OF[step.participant]
    assert TOPIC_OF[step.name] in topics.ALL


@EVERY_STEP
def test_every_step_is_a_command_that_its_participant_takes(kind: str, step: Step) -> None:
    message = told(kind, step.name)
    assert type(message) in get_args(messages.Command)
    answers = msgspec.UNSET  # the order's handlers only keep it for later
    takes = {
        "order": SagaSteps(answers).handlers,  # type: ignore[arg-type]
        "payment": payment.HANDLERS,
        "inventory": inventory.HANDLERS,
    }
    assert type(message) in takes[step.participant]


@EVERY_STEP
def test_every_command_survives_the_wire(kind: str, step: Step) -> None:
    message = told(kind, step.name)
    assert msgspec.json.decode(msgspec.json.encode(message), type=type(message)) == message


def test_no_participant_has_two_topics() -> None:
    assert len(set(topics.COMMANDS_OF.values())) == len(topics.COMMANDS_OF)
    assert {step.participant for _, step in STEPS} == set(topics.COMMANDS_OF)


def test_commands_carry_what_the_order_said() -> None:
    assert told("order", "order.hold") == messages.HoldStock((Line("clock", 2, 19_99),))
    assert told("order", "order.charge") == messages.ChargeCard("ann", 39_98, "EUR")


def test_a_rejection_carries_the_first_reason() -> None:
    saga = replace(begin(ORDER)[0], reason="out-of-stock", detail="clock: none left")
    rejected = command("order.reject", PAYLOADS["order"], saga)
    assert rejected == messages.RejectOrder("out-of-stock", "clock: none left")


def test_a_step_of_no_saga_is_no_command() -> None:
    with pytest.raises(KeyError):
        told("order", "order.gift-wrap")


def test_every_saga_has_a_message_that_starts_it_and_its_kind_is_read_from_it() -> None:
    assert STARTS.keys() == DEFINITIONS.keys()
    assert {KIND_OF[start.__name__]: start for start in STARTS.values()} == STARTS


def test_what_can_be_refused_is_what_can_be_undone() -> None:
    assert REFUSABLE == {"order.hold", "order.charge"}
    assert {name: undone for name, undone in UNDOES.items() if undone} == {
        **ORDER.undoes(),
        **CANCEL.undoes(),
    }
    assert UNDOES.keys() == TOPIC_OF.keys()
