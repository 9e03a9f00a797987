"""What the coordinators of two- and three-phase commit do alike: vote in rounds, and ask until all is done.

    VOTING ── all yes ──▶ the protocol's own way ──▶ COMMITTING ── all have ──▶ ENDED committed
     │  ▲
     │  └──── next round ◀──┬── BACKING_OFF
     │                      │       ▲
     │ no, busy, overdue    │no     │busy, overdue
     ▼                      │       │
    ABORTING ── all have ───┴───────┴── none left, or the deadline has passed ──▶ ENDED aborted

An order that stock or money refuses leaves the transaction at once and for good. A lost race is nobody's
refusal: what is left of the orders is tried again, until the deadline. A round begins when everybody has
aborted the one before, for it needs the same locks.
"""

from dataclasses import replace
from typing import assert_never

from orchestrator.core.commit import (
    Effect,
    Ended,
    Event,
    Expired,
    Force,
    Outcome,
    Phase,
    Refuse,
    Rest,
    RetryNow,
    Send,
    TimedOut,
    Transaction,
    Turn,
    Wake,
    question,
    token,
)
from orchestrator.core.exchange import Acked, Refusal, Round, State, Voted

DEADLINE_EXCEEDED = "deadline-exceeded"
MIXED_OUTCOME = "mixed-outcome"

FINAL = (State.COMMITTED, State.ABORTED)


def begin(participants: tuple[str, ...], orders: tuple[str, ...], epoch: int, in_turn: bool) -> Turn:
    """No protocol needs a record here. The shop does: somebody must end what a dead coordinator began."""
    assert participants and orders, "nobody to ask, or nothing to ask for"
    txn = Transaction(participants, orders, epoch, Round(epoch, 0), Phase.BACKING_OFF, in_turn=in_turn)
    txn, effects = _next_round(txn)
    return txn, (Force(), *effects)


def step(txn: Transaction, event: Event) -> Turn:
    """Total: an event that is late, repeated or makes no sense changes nothing and has no effect."""
    match event:
        case Voted() if awaited(txn, event, Phase.VOTING):
            return _count(heard(txn, event), event)
        case Acked(state=state) if state in FINAL and awaited(txn, event, Phase.COMMITTING):
            txn, note = _compare(heard(txn, event), event, State.COMMITTED)
            txn, effects = (txn, ()) if txn.waiting else _end(txn, "committed")
            return txn, (*note, *effects)
        case Acked(state=state) if state in FINAL and awaited(txn, event, Phase.ABORTING):
            txn, note = _compare(heard(txn, event), event, State.ABORTED)
            txn, effects = (txn, ()) if txn.waiting else _aborted(txn)
            return txn, (*note, *effects)
        case TimedOut(armed) if armed == token(txn):
            return _overdue(txn)
        case Expired() if txn.phase not in (Phase.COMMITTING, Phase.ENDED):
            return _expire(replace(txn, expired=True))
        case RetryNow() if txn.phase is Phase.BACKING_OFF:
            return _next_round(txn)
        case RetryNow() if txn.waiting:
            return _ask(replace(txn, attempt=0))
        case Voted() | Acked() | TimedOut() | Expired() | RetryNow():
            return txn, ()
        case _:
            assert_never(event)


def awaited(txn: Transaction, event: Voted | Acked, phase: Phase) -> bool:
    return txn.phase is phase and event.round == txn.round and event.participant in txn.waiting


def heard(txn: Transaction, event: Voted | Acked) -> Transaction:
    return replace(txn, waiting=tuple(name for name in txn.waiting if name != event.participant))


def unanimous(txn: Transaction, event: Voted) -> bool:
    """This is the last vote of the round, and all are yes."""
    last = awaited(txn, event, Phase.VOTING) and txn.waiting == (event.participant,)
    return last and event.vote == "yes" and not txn.refusals


def enter(txn: Transaction, phase: Phase) -> Turn:
    """Asks everybody what this phase asks."""
    return _ask(replace(txn, phase=phase, waiting=txn.participants, attempt=0))


def record(txn: Transaction, phase: Phase) -> Turn:
    """The same, but every later owner knows of it before the first participant does."""
    txn, effects = enter(txn, phase)
    return txn, (Force(), *effects)


def abort(txn: Transaction, lost: bool) -> Turn:
    """Not recorded, for that is what no record means. Refusals are: no later owner tries such an order."""
    refusals, txn = txn.refusals, replace(txn, refusals=(), lost=lost)
    txn, effects = enter(txn, Phase.ABORTING)
    return txn, (*_refuse(refusals), *effects)


def take_over(txn: Transaction, epoch: int) -> Turn:
    """Whatever an earlier owner has begun is aborted, however many rounds that was; then all begins anew.

    The rounds of this epoch are live, and come after the one named here: they are never touched.
    """
    return abort(replace(txn, epoch=epoch, round=Round(epoch, 0), refusals=()), lost=False)


def _count(txn: Transaction, event: Voted) -> Turn:
    """After a no the others are still heard: each may refuse other orders, and one new round does for all."""
    refused = {r.order: r for r in reversed(event.refusals)} if event.vote == "no" else {}
    new = tuple(refused[order] for order in txn.orders if order in refused)
    left = tuple(order for order in txn.orders if order not in refused)
    txn = replace(txn, orders=left, refusals=txn.refusals + new)
    if event.vote != "yes" and not new:
        return abort(txn, lost=True)
    if not left or not txn.waiting or (new and txn.in_turn):
        return abort(txn, lost=False)
    return _ask(txn) if txn.in_turn else (txn, ())


def _compare(txn: Transaction, event: Acked, decided: State) -> Turn:
    """A participant that was resolved by hand may have done the opposite. "Heuristic mixed" is on record."""
    if event.state is decided or event.participant in txn.mixed:
        return txn, ()
    return replace(txn, mixed=(*txn.mixed, event.participant)), (Force(),)


def _aborted(txn: Transaction) -> Turn:
    """No participant holds anything any more."""
    if txn.mixed or txn.expired or not txn.orders:
        return _give_up(txn, MIXED_OUTCOME if txn.mixed else DEADLINE_EXCEEDED)
    if not txn.lost:
        return _next_round(txn)
    txn = replace(txn, phase=Phase.BACKING_OFF, attempt=1)
    return txn, (Rest(token(txn), max(1, txn.round.number)),)


def _overdue(txn: Transaction) -> Turn:
    match txn.phase:
        case Phase.VOTING:
            return abort(txn, lost=True)  # rather than let those who have voted wait with their locks
        case Phase.BACKING_OFF:
            return _next_round(txn)
        case _:
            return _ask(txn)


def _expire(txn: Transaction) -> Turn:
    late = tuple(Refusal(order, DEADLINE_EXCEEDED) for order in txn.orders)
    match txn.phase:
        case Phase.VOTING:
            return abort(replace(txn, orders=(), refusals=txn.refusals + late), lost=False)
        case Phase.ABORTING:
            return replace(txn, orders=()), _refuse(late)
        case Phase.BACKING_OFF:
            return _give_up(txn, DEADLINE_EXCEEDED)
        case _:
            return txn, ()  # pre-committed somewhere, perhaps


def _give_up(txn: Transaction, reason: str) -> Turn:
    refusals = tuple(Refusal(order, reason) for order in txn.orders)
    txn, effects = _end(replace(txn, orders=()), "aborted")
    return txn, (*_refuse(refusals), *effects)


def _refuse(refusals: tuple[Refusal, ...]) -> tuple[Effect, ...]:
    return (*(Refuse(refusal) for refusal in refusals), Force()) if refusals else ()


def _next_round(txn: Transaction) -> Turn:
    return enter(replace(txn, round=Round(txn.epoch, txn.round.number + 1)), Phase.VOTING)


def _ask(txn: Transaction) -> Turn:
    txn = replace(txn, attempt=txn.attempt + 1)
    voting = txn.phase is Phase.VOTING
    asked = txn.waiting[:1] if voting and txn.in_turn else txn.waiting
    patience = txn.round.number if voting else txn.attempt  # with votes it grows from round to round
    return txn, (*(Send(name, question(txn)) for name in asked), Wake(token(txn), patience))


def _end(txn: Transaction, outcome: Outcome) -> Turn:
    return replace(txn, phase=Phase.ENDED, outcome=outcome), (Ended(outcome),)
