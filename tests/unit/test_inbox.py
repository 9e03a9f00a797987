"""A step takes effect at most once and is always answered the same, however its messages come."""

from typing import Any

import pytest
from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from services.contract.messages import HoldStock, ReleaseStock
from services.runtime.envelope import encode, seal
from services.runtime.inbox import DONE, UNDONE, Answer, Step, settle
from services.runtime.worker import Command, waves

HOLD = Step("order-1", "order.hold")
RELEASE = Step("order-1", "order.release", undoes="order.hold")
HOLD_KEY = ("order-1", "order.hold")
RELEASE_KEY = ("order-1", "order.release")
OUT_OF_STOCK = Answer("refused", "out-of-stock", "none left")


def test_a_new_step_is_to_be_run() -> None:
    assert settle(HOLD, {}) == {}


@pytest.mark.parametrize("answer", [DONE, OUT_OF_STOCK])
def test_a_repeated_step_gets_the_recorded_answer(answer: Answer) -> None:
    assert settle(HOLD, {HOLD_KEY: answer}) == {HOLD_KEY: answer}


def test_what_others_did_or_other_steps_of_this_one_do_not_count() -> None:
    assert settle(HOLD, {("order-2", "order.hold"): DONE, ("order-1", "order.charge"): DONE}) == {}


def test_the_undo_of_a_step_that_was_done_is_to_be_run() -> None:
    assert settle(RELEASE, {HOLD_KEY: DONE}) == {}


def test_the_undo_of_a_step_that_never_came_is_done_and_leaves_a_mark() -> None:
    assert settle(RELEASE, {}) == {HOLD_KEY: UNDONE, RELEASE_KEY: DONE}


def test_a_step_that_comes_after_its_undo_is_refused() -> None:
    left = settle(RELEASE, {})
    assert settle(HOLD, left) == {HOLD_KEY: UNDONE}


def test_the_undo_of_a_step_that_was_refused_has_nothing_to_undo() -> None:
    settled = settle(RELEASE, {HOLD_KEY: OUT_OF_STOCK})
    assert settled[RELEASE_KEY] == DONE


def test_a_repeated_undo_is_not_run_again() -> None:
    assert settle(RELEASE, {HOLD_KEY: DONE, RELEASE_KEY: DONE}) == {RELEASE_KEY: DONE}


@given(st.lists(st.sampled_from([HOLD, RELEASE])), st.booleans())
def test_no_order_of_arrival_does_a_step_twice_or_leaves_it_half_undone(
    arrivals: list[Step], possible: bool
) -> None:
    """The worker's use of `settle`, without a worker: what was given first is what was recorded."""
    known: dict[tuple[str, str], Answer] = {}
    ran: list[str] = []
    heard: dict[str, set[str]] = {}
    for step in arrivals:
        settled = dict(settle(step, known))
        if not settled:
            answer = OUT_OF_STOCK if step is HOLD and not possible else DONE
            settled = {(step.subject, step.step): answer}
            ran += [step.step] if answer is DONE else []
        heard.setdefault(step.step, set()).add(settled[step.subject, step.step].outcome)
        known = {**settled, **known}
    assert ran in ([], ["order.hold"], ["order.hold", "order.release"])
    assert all(len(outcomes) == 1 for outcomes in heard.values()), "always the same answer"
    if RELEASE in arrivals:
        assert len(ran) in (0, 2), "what was done is undone"
        assert heard["order.release"] == {"done"}


def command(subject: str, step: str, attempt: int = 1) -> Command:
    undo = step == "order.release"
    message = ReleaseStock() if undo else HoldStock(())
    envelope = seal(
        message,
        id=f"{subject}/{step}/{attempt}",
        source="orchestrator-1",
        subject=subject,
        step=step,
        undoes="order.hold" if undo else "",
    )
    nothing: Any = None
    record = ConsumerRecord(
        topic="inventory.commands",
        partition=0,
        offset=0,
        timestamp=0,
        timestamp_type=0,
        key=subject.encode(),
        value=encode(envelope),
        checksum=nothing,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=(),
    )
    return Command(record, envelope, message)


def test_a_step_and_its_undo_never_share_a_wave() -> None:
    hold, release = command("order-1", "order.hold"), command("order-1", "order.release")
    assert waves([hold, release]) == [[hold], [release]]
    assert waves([release, hold]) == [[release], [hold]]


def test_strangers_share_a_wave() -> None:
    commands = [command(f"order-{n}", "order.hold") for n in range(5)]
    assert waves(commands) == [commands]
    assert waves([]) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["order.hold", "order.release"]))))
def test_waves_keep_every_command_and_each_subject_in_order(arrivals: list[tuple[str, str]]) -> None:
    commands = [command(subject, step, n) for n, (subject, step) in enumerate(arrivals)]
    cut = waves(commands)
    for wave in cut:
        assert len({c.subject for c in wave}) == len(wave) > 0
    for subject in "abc":
        given_order = [c for c in commands if c.subject == subject]
        assert [c for wave in cut for c in wave if c.subject == subject] == given_order


def test_a_command_knows_which_step_it_runs_and_undoes() -> None:
    assert command("order-1", "order.release").step == RELEASE
    assert command("order-1", "order.hold").step == HOLD
