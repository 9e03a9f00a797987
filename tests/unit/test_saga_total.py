"""No sequence of events, however absurd, breaks what the driver and the reader rely on."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.definition import Definition, Step
from orchestrator.core.saga import (
    Answered,
    Ask,
    Ended,
    Event,
    Expired,
    Phase,
    RetryNow,
    Saga,
    TimedOut,
    Turn,
    Wake,
    begin,
    resume,
    step,
    token,
)
from orchestrator.core.sagas import CANCEL, ORDER

PHASES = list(Phase)


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """The shop's two, and any other shape that is allowed."""
    if draw(st.booleans()):
        return draw(st.sampled_from((ORDER, CANCEL)))
    sizes = st.lists(st.integers(1, 3), max_size=3)
    undoable, retriable = draw(sizes), draw(sizes)
    stages = [
        tuple(Step(f"{i}.{n}", "p", undo=f"un-{i}.{n}" if i < len(undoable) else None) for n in range(size))
        for i, size in enumerate([*undoable, *retriable])
    ]
    stages = stages or [(Step("only", "p"),)]
    return Definition("any", tuple(stages), Step("reject", "p") if undoable else None)


def events(definition: Definition) -> st.SearchStrategy[list[Event]]:
    names = st.sampled_from([s.name for s in definition.asked()] + ["unheard-of"])
    tokens = st.builds(
        lambda phase, stage, n: f"{phase}/{stage}/{n}",
        st.sampled_from(PHASES), st.integers(0, 6), st.integers(0, 3),
    )  # fmt: skip
    answers = st.builds(Answered, names, st.booleans() | st.just(True), st.sampled_from(["", "a", "b"]))
    others = st.builds(TimedOut, tokens) | st.just(Expired()) | st.just(RetryNow())
    return st.lists(answers | answers | others, max_size=40)


def follows(definition: Definition, before: Saga, event: Event, turn: Turn) -> None:
    saga, effects = turn
    names = {s.name for s in definition.asked()}
    assert set(saga.waiting) <= names
    assert (saga.phase is Phase.ENDED) == (not saga.waiting) == bool(saga.outcome)
    assert PHASES.index(saga.phase) >= PHASES.index(before.phase), "a saga never goes back to a phase"
    assert saga.stage >= before.stage
    assert before.reason in ("", saga.reason), "the first reason stays"
    assert (saga.outcome == "compensated") <= (definition.on_refusal is not None)
    if saga.phase is Phase.ENDED:
        assert effects in ((), (Ended(saga.outcome),))
        assert before.phase is not Phase.ENDED or turn == (before, ())
    elif effects:
        assert effects == resume(definition, saga), "whoever resumes does what the crashed one would have"
        assert [e.step for e in effects if isinstance(e, Ask)] == list(saga.waiting)
        assert effects[-1] == Wake(token(saga), saga.attempt)
    else:
        assert replace(saga, waiting=before.waiting) == before, "only an awaited answer is silently noted"
        for name in set(before.waiting) - set(saga.waiting):
            assert isinstance(event, Answered) and event.step == name and event.done


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_sequence_of_events_keeps_the_saga_in_order(data: st.DataObject) -> None:
    definition = data.draw(definitions())
    saga, effects = begin(definition)
    assert effects == resume(definition, saga)
    for event in data.draw(events(definition)):
        turn = step(definition, saga, event)
        follows(definition, saga, event, turn)
        again = step(definition, turn[0], event)
        if not isinstance(event, RetryNow):
            assert again == (turn[0], ()), "an event that is repeated changes nothing"
        saga = turn[0]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_from_anywhere_a_saga_ends_when_all_that_it_asks_is_done(data: st.DataObject) -> None:
    definition = data.draw(definitions())
    saga, _ = begin(definition)
    for event in data.draw(events(definition)):
        saga, _ = step(definition, saga, event)
    answered = 0
    while saga.waiting:
        saga, _ = step(definition, saga, Answered(data.draw(st.sampled_from(saga.waiting)), True))
        answered += 1
    assert saga.phase is Phase.ENDED
    assert answered <= len(definition.asked())
