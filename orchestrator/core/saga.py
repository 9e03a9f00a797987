"""The saga, as a pure function: no I/O, no clock, no randomness.

H. Garcia-Molina and K. Salem, "Sagas", SIGMOD 1987: a long transaction is cut into steps T1..Tn that
commit one by one, each with a compensation Ci, and the system promises that either T1..Tn will run,
or T1..Tj and then Cj..C1. Here the steps come in *stages*; those of one stage run in parallel (§8).

    FORWARD ── every stage done ──────────────────────────────────▶ ENDED completed
       │ refused, or expired: before the pivot only
       ▼
    COMPENSATING ── every undo done ─▶ CLOSING ── rejection done ──▶ ENDED compensated

The *pivot* is the moment the last stage with compensations is done. Before it the saga recovers
backward (§4), after it forward (§5): a step that nobody will ever undo is asked until it is done.

The driver saves the new saga and sends its effects in one transaction, so a decision is durable before
anyone can hear of it. Every message may be lost, repeated or late; the participants' inboxes see to it
that each step has its effect once, and never after its undo.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, assert_never

from orchestrator.core.definition import Definition, Step

DEADLINE_EXCEEDED = "deadline-exceeded"


class Phase(StrEnum):
    FORWARD = "forward"
    COMPENSATING = "compensating"
    CLOSING = "closing"
    ENDED = "ended"


Outcome = Literal["", "completed", "compensated"]


@dataclass(frozen=True, slots=True)
class Saga:
    """All that must survive a crash.

    What is to be undone needs no field: every step of the stages reached, but for the one refused.
    """

    phase: Phase
    stage: int  # of the definition; stays where it was when the saga turns back
    waiting: tuple[str, ...]  # asked in this phase and not known to be done
    attempt: int = 0  # how often they have been asked, since the phase began or an operator reset it
    reason: str = ""  # of the first refusal
    detail: str = ""
    outcome: Outcome = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """A participant's answer. `done=False` is definite: it had no effect and never will have."""

    step: str
    done: bool
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A timer rang. It names the `token` it was armed with, so that a late one is known to be late."""

    token: str


@dataclass(frozen=True, slots=True)
class Expired:
    """The deadline of the whole saga has passed."""


@dataclass(frozen=True, slots=True)
class RetryNow:
    """An operator does not want to wait for the timer."""


@dataclass(frozen=True, slots=True)
class Ask:
    step: str
    attempt: int  # from 1; part of the message's id, so the same number is the same message


@dataclass(frozen=True, slots=True)
class Wake:
    """Ring with `TimedOut(token)` after backoff of `attempt`. Replaces the saga's earlier timer."""

    token: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Ended:
    outcome: Outcome


Event = Answered | TimedOut | Expired | RetryNow
Effect = Ask | Wake | Ended
Turn = tuple[Saga, tuple[Effect, ...]]


def begin(definition: Definition) -> Turn:
    return _enter(definition, Saga(Phase.FORWARD, 0, _names(definition.stages[0])))


def step(definition: Definition, saga: Saga, event: Event) -> Turn:
    """Total: an event that is late, repeated or makes no sense changes nothing and has no effect."""
    match event:
        case Answered(name, done=True) if name in saga.waiting:
            saga = replace(saga, waiting=tuple(w for w in saga.waiting if w != name))
            return (saga, ()) if saga.waiting else _advance(definition, saga)
        case Answered(name, done=False) if name in saga.waiting and revocable(definition, saga):
            return _compensate(definition, replace(saga, reason=event.reason, detail=event.detail), name)
        case Expired() if revocable(definition, saga):
            return _compensate(definition, replace(saga, reason=DEADLINE_EXCEEDED), refused=None)
        case TimedOut(armed) if saga.waiting and armed == token(saga):
            return _ask(definition, saga)
        case RetryNow() if saga.waiting:
            return _ask(definition, replace(saga, attempt=0))
        case Answered() | Expired() | TimedOut() | RetryNow():
            # Among these: a retriable step or an undo that says "refused". It has to happen all the
            # same, so it stays waiting, and the timer asks again.
            return saga, ()
        case _:
            assert_never(event)


def resume(definition: Definition, saga: Saga) -> tuple[Effect, ...]:
    """After a crash: ask again what has not been answered. Every message may safely be repeated."""
    if saga.phase is Phase.ENDED:
        return ()
    assert definition.names.issuperset(saga.waiting), f"not a saga of kind {definition.kind}: {saga}"
    return (*(Ask(name, saga.attempt) for name in saga.waiting), Wake(token(saga), saga.attempt))


def revocable(definition: Definition, saga: Saga) -> bool:
    """Before the pivot: a refusal or the deadline still turns the saga back."""
    return saga.phase is Phase.FORWARD and definition.compensatable(saga.stage)


def token(saga: Saga) -> str:
    """What a timer is for. One of an earlier stage, phase or attempt has nothing to say."""
    return f"{saga.phase}/{saga.stage}/{saga.attempt}"


def _advance(definition: Definition, saga: Saga) -> Turn:
    """Nobody is waited for any more."""
    match saga.phase:
        case Phase.FORWARD if saga.stage + 1 < len(definition.stages):
            stage = saga.stage + 1
            return _enter(definition, replace(saga, stage=stage, waiting=_names(definition.stages[stage])))
        case Phase.FORWARD:
            return _end(saga, "completed")
        case Phase.COMPENSATING:
            assert definition.on_refusal is not None, "only a revocable saga compensates"
            closing = replace(saga, phase=Phase.CLOSING, waiting=(definition.on_refusal.name,))
            return _enter(definition, closing)
        case Phase.CLOSING:
            return _end(saga, "compensated")
        case Phase.ENDED:
            raise AssertionError("an ended saga waits for nobody")


def _compensate(definition: Definition, saga: Saga, refused: str | None) -> Turn:
    """Backward recovery (§4), of every step that is done or *unknown*: asked, and not answered.

    To undo an unknown step is safe, because the participant settles the race between the two by a
    record in its inbox, as DTM's barrier does: an undo that finds nothing done does nothing (empty
    compensation) and leaves a tombstone, so that the step, arriving later, is refused (hanging).

    The undos run in parallel and are asked for ever: whoever gives up here has charged a card for
    nothing. Their order is free since no step of a saga reads what another has written.
    """
    reached = [s for stage in definition.stages[: saga.stage + 1] for s in stage if s.name != refused]
    undos = tuple(s.undo for s in reached if s.undo is not None)
    saga = replace(saga, phase=Phase.COMPENSATING, waiting=undos)
    return _enter(definition, saga) if undos else _advance(definition, saga)


def _enter(definition: Definition, saga: Saga) -> Turn:
    return _ask(definition, replace(saga, attempt=0))


def _ask(definition: Definition, saga: Saga) -> Turn:
    saga = replace(saga, attempt=saga.attempt + 1)
    return saga, resume(definition, saga)


def _end(saga: Saga, outcome: Outcome) -> Turn:
    return replace(saga, phase=Phase.ENDED, outcome=outcome), (Ended(outcome),)


def _names(steps: tuple[Step, ...]) -> tuple[str, ...]:
    return tuple(s.name for s in steps)
