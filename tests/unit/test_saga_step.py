"""Each rule of the saga, as a transcript: what happened on the left, what the saga did on the right."""

from collections.abc import Sequence
from textwrap import dedent

import msgspec
import pytest

from orchestrator.core import saga as core
from orchestrator.core.definition import Definition, Step
from orchestrator.core.saga import Phase, Saga
from orchestrator.core.sagas import CANCEL, ORDER


def parse(line: str, saga: Saga) -> core.Event:
    match line.split():
        case ["deadline"]:
            return core.Expired()
        case ["retry", "now"]:
            return core.RetryNow()
        case ["timer"]:
            return core.TimedOut(core.token(saga))
        case ["timer", armed]:
            return core.TimedOut(armed)
        case [name, "done"]:
            return core.Answered(name, True)
        case [name, "refused:", reason]:
            return core.Answered(name, False, reason, f"because of {reason}")
    raise AssertionError(f"not an event: {line}")


def told(effects: Sequence[core.Effect]) -> str:
    words = []
    for effect in effects:
        match effect:
            case core.Ask(name, attempt):
                words.append(f"{name}/{attempt}")
            case core.Wake(armed):
                words.append(f"[{armed}]")
            case core.Ended(outcome):
                words.append(outcome.upper())
    return " ".join(words) or "-"


def play(definition: Definition, transcript: str) -> Saga:
    """Feeds the left side; the right side, behind "=>", must be what comes out."""
    lines = [line.partition("=>") for line in dedent(transcript).strip().splitlines()]
    saga, effects = core.begin(definition)
    played = [told(effects)]
    for event, _, _ in lines[1:]:
        if event.strip() == "crash":
            effects = core.resume(definition, saga)
        else:
            saga, effects = core.step(definition, saga, parse(event, saga))
        played.append(told(effects))
    assert played == [expected.strip() for _, _, expected in lines]
    return saga


def test_all_steps_of_a_stage_are_asked_at_once_and_the_next_stage_waits_for_all() -> None:
    saga = play(
        ORDER,
        """
        begin               => order.hold/1 order.charge/1 [forward/0/1]
        order.charge done   => -
        order.hold done     => order.ship/1 order.confirm/1 [forward/1/1]
        order.ship done     => -
        order.confirm done  => COMPLETED
        """,
    )
    assert (saga.phase, saga.outcome, saga.reason) == (Phase.ENDED, "completed", "")


def test_a_refusal_undoes_what_is_done_but_not_what_was_refused() -> None:
    saga = play(
        ORDER,
        """
        begin                               => order.hold/1 order.charge/1 [forward/0/1]
        order.hold done                     => -
        order.charge refused: no-money      => order.release/1 [compensating/0/1]
        order.release done                  => order.reject/1 [closing/0/1]
        order.reject done                   => COMPENSATED
        """,
    )
    assert (saga.outcome, saga.reason, saga.detail) == ("compensated", "no-money", "because of no-money")


def test_a_refusal_undoes_what_is_unknown_and_later_ones_do_not_matter() -> None:
    saga = play(
        ORDER,
        """
        begin                               => order.hold/1 order.charge/1 [forward/0/1]
        order.hold refused: out-of-stock    => order.refund/1 [compensating/0/1]
        order.charge done                   => -
        order.charge refused: no-money      => -
        deadline                            => -
        order.refund done                   => order.reject/1 [closing/0/1]
        """,
    )
    assert saga.reason == "out-of-stock", "the first refusal is the reason"


def test_with_nothing_to_undo_a_refused_saga_closes_at_once() -> None:
    one = Definition("one", ((Step("hold", "inventory", "release"),),), Step("reject", "order"))
    play(
        one,
        """
        begin             => hold/1 [forward/0/1]
        hold refused: no  => reject/1 [closing/0/1]
        reject done       => COMPENSATED
        """,
    )


def test_the_deadline_before_the_pivot_undoes_all_that_was_asked() -> None:
    saga = play(
        ORDER,
        """
        begin               => order.hold/1 order.charge/1 [forward/0/1]
        order.hold done     => -
        deadline            => order.release/1 order.refund/1 [compensating/0/1]
        order.refund done   => -
        order.release done  => order.reject/1 [closing/0/1]
        """,
    )
    assert saga.reason == "deadline-exceeded"


def test_after_the_pivot_the_deadline_and_refusals_change_nothing() -> None:
    play(
        ORDER,
        """
        begin                         => order.hold/1 order.charge/1 [forward/0/1]
        order.hold done               => -
        order.charge done             => order.ship/1 order.confirm/1 [forward/1/1]
        deadline                      => -
        order.ship refused: not-now   => -
        order.hold refused: too-late  => -
        timer                         => order.ship/2 order.confirm/2 [forward/1/2]
        order.confirm done            => -
        timer                         => order.ship/3 [forward/1/3]
        order.ship done               => COMPLETED
        """,
    )


def test_an_undo_is_asked_until_it_is_done_whatever_it_says() -> None:
    attempts = "\n".join(
        f"timer => order.release/{n} order.refund/{n} [compensating/0/{n}]" for n in range(2, 200)
    )
    play(
        ORDER,
        "begin => order.hold/1 order.charge/1 [forward/0/1]\n"
        "deadline => order.release/1 order.refund/1 [compensating/0/1]\n"
        "order.release refused: not-now => -\n" + attempts,
    )


def test_with_several_stages_before_the_pivot_all_that_were_reached_are_undone() -> None:
    trip = Definition(
        "trip",
        (
            (Step("hotel", "h", "no-hotel"),),
            (Step("train", "t", "no-train"), Step("bike", "b", "no-bike")),
            (Step("guide", "g", "no-guide"),),
            (Step("pay", "p"),),
        ),
        Step("sorry", "c"),
    )
    play(
        trip,
        """
        begin              => hotel/1 [forward/0/1]
        hotel done         => train/1 bike/1 [forward/1/1]
        bike refused: rain => no-hotel/1 no-train/1 [compensating/1/1]
        no-train done      => -
        no-hotel done      => sorry/1 [closing/1/1]
        """,
    )


def test_a_timer_asks_only_for_what_is_missing_and_counts() -> None:
    play(
        ORDER,
        """
        begin            => order.hold/1 order.charge/1 [forward/0/1]
        timer            => order.hold/2 order.charge/2 [forward/0/2]
        order.hold done  => -
        timer            => order.charge/3 [forward/0/3]
        """,
    )


def test_a_timer_of_an_earlier_attempt_stage_or_phase_is_silent() -> None:
    play(
        ORDER,
        """
        begin               => order.hold/1 order.charge/1 [forward/0/1]
        timer forward/0/1   => order.hold/2 order.charge/2 [forward/0/2]
        timer forward/0/1   => -
        deadline            => order.release/1 order.refund/1 [compensating/0/1]
        timer forward/0/2   => -
        order.release done  => -
        order.refund done   => order.reject/1 [closing/0/1]
        timer compensating/0/1 => -
        order.reject done   => COMPENSATED
        timer closing/0/1   => -
        timer               => -
        """,
    )


def test_an_operator_need_not_wait_and_the_backoff_starts_again() -> None:
    play(
        ORDER,
        """
        begin            => order.hold/1 order.charge/1 [forward/0/1]
        timer            => order.hold/2 order.charge/2 [forward/0/2]
        timer            => order.hold/3 order.charge/3 [forward/0/3]
        order.hold done  => -
        retry now        => order.charge/1 [forward/0/1]
        timer forward/0/3 => -
        timer            => order.charge/2 [forward/0/2]
        """,
    )


def test_a_new_owner_asks_again_what_has_not_been_answered_and_changes_nothing() -> None:
    play(
        ORDER,
        """
        begin            => order.hold/1 order.charge/1 [forward/0/1]
        timer            => order.hold/2 order.charge/2 [forward/0/2]
        order.hold done  => -
        crash            => order.charge/2 [forward/0/2]
        crash            => order.charge/2 [forward/0/2]
        order.charge done => order.ship/1 order.confirm/1 [forward/1/1]
        """,
    )


def test_after_the_end_nothing_happens_any_more() -> None:
    play(
        CANCEL,
        """
        begin                => cancel.refund/1 cancel.restock/1 [forward/0/1]
        cancel.refund done   => -
        cancel.refund done   => -
        cancel.restock done  => cancel.close/1 [forward/1/1]
        cancel.restock done  => -
        cancel.close done    => COMPLETED
        cancel.close done    => -
        cancel.close refused: no => -
        deadline             => -
        retry now            => -
        timer                => -
        crash                => -
        """,
    )


def test_a_cancellation_is_past_its_pivot_from_the_start() -> None:
    saga = play(
        CANCEL,
        """
        begin                       => cancel.refund/1 cancel.restock/1 [forward/0/1]
        cancel.refund refused: no   => -
        deadline                    => -
        """,
    )
    assert not core.revocable(CANCEL, saga)
    assert saga.reason == ""


def test_an_answer_from_nowhere_changes_nothing() -> None:
    saga, _ = core.begin(ORDER)
    for event in (
        core.Answered("order.fly", True),
        core.Answered("order.ship", True),
        core.Answered("", False),
    ):
        assert core.step(ORDER, saga, event) == (saga, ())


def test_a_saga_resumed_under_another_definition_is_a_bug() -> None:
    saga, _ = core.begin(ORDER)
    with pytest.raises(AssertionError, match="not a saga of kind cancel"):
        core.resume(CANCEL, saga)


def test_a_saga_survives_being_stored_as_json() -> None:
    saga, _ = core.begin(ORDER)
    saga, _ = core.step(ORDER, saga, core.Answered("order.hold", False, "out-of-stock", "none left"))
    stored = msgspec.json.encode(saga)
    assert msgspec.json.decode(stored, type=Saga) == saga
    assert len(stored) < 200
