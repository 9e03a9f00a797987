"""What a coordinator of two- or three-phase commit knows, what happens to it, and what it wants done.

A *transaction* carries one or more orders, and commits them together at every participant. It tries in
*rounds*: one that a participant refuses, or that loses a race for a lock, is aborted everywhere, and what
is left of the orders is prepared anew. One order is the textbook; many are group commit.

The state changes with every event, but need not survive a crash before `Force` says so.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from orchestrator.core.exchange import (
    Abort,
    Acked,
    Commit,
    Inquire,
    PreCommit,
    Prepare,
    Refusal,
    Request,
    Round,
    State,
    Voted,
)


class Phase(StrEnum):
    VOTING = "voting"
    PRECOMMITTING = "pre-committing"  # of three-phase commit
    LEARNING = "learning"  # of three-phase commit
    COMMITTING = "committing"
    ABORTING = "aborting"
    BACKING_OFF = "backing-off"
    ENDED = "ended"


Outcome = Literal["", "committed", "aborted"]


@dataclass(frozen=True, slots=True)
class Transaction:
    participants: tuple[str, ...]
    orders: tuple[str, ...]  # without those refused
    epoch: int  # of the owner
    round: Round
    phase: Phase
    waiting: tuple[str, ...] = ()  # asked in this phase, and not heard
    attempt: int = 0  # how often they have been asked, since the phase began or an operator reset it
    in_turn: bool = False  # one participant votes after the other: no deadlock between servers
    refusals: tuple[Refusal, ...] = ()  # of this round, not yet told to anybody
    lost: bool = False  # the round lost a race: rest before the next
    expired: bool = False  # the deadline has passed: no next round
    mixed: tuple[str, ...] = ()  # participants that did the opposite of the decision
    outcome: Outcome = ""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A timer rang. It names the `token` it was armed with, so that a late one is known to be late."""

    token: str


@dataclass(frozen=True, slots=True)
class Expired:
    """The deadline of the orders has passed."""


@dataclass(frozen=True, slots=True)
class RetryNow:
    """An operator does not want to wait for the timer."""


Event = Voted | Acked | TimedOut | Expired | RetryNow


@dataclass(frozen=True, slots=True)
class Force:
    """The new state, and each `Refuse` in front of this, are durable before anything behind it happens.

    They are one transaction, which fails unless the owner's epoch is the highest; a stale owner stops
    here for good. If it is unknown whether that transaction committed, nothing may happen until it is.
    """


@dataclass(frozen=True, slots=True)
class Send:
    to: str
    request: Request


@dataclass(frozen=True, slots=True)
class Refuse:
    """The order's last word, repeated until the order service has it. Always in front of a `Force`."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Wake:
    """Ring with `TimedOut(token)` after backoff of `attempt`. Replaces the transaction's earlier timer."""

    token: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Rest:
    """The same, after a lost race: a short while, and all of it random, so that the two do not meet again."""

    token: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The record may be forgotten, at leisure; not, unless somebody has looked at it, if it is `mixed`."""

    outcome: Outcome


Effect = Force | Send | Refuse | Wake | Rest | Ended
Turn = tuple[Transaction, tuple[Effect, ...]]


def token(txn: Transaction) -> str:
    """What a timer is for. One of an earlier round, phase or attempt has nothing to say."""
    return f"{txn.phase}/{txn.round.epoch}.{txn.round.number}/{txn.attempt}"


def question(txn: Transaction) -> Request:
    """What each phase asks of those it waits for."""
    match txn.phase:
        case Phase.VOTING:
            return Prepare(txn.round, txn.orders)
        case Phase.PRECOMMITTING:
            return PreCommit(txn.round)
        case Phase.LEARNING:
            return Inquire(txn.round)
        case Phase.COMMITTING:
            return Commit(txn.round)
        case Phase.ABORTING:
            return Abort(txn.round)
        case Phase.BACKING_OFF | Phase.ENDED:
            raise AssertionError(f"nobody is asked anything while {txn.phase}")


def verdict(txn: Transaction | None, round: Round) -> State:
    """What a participant in doubt is told: COMMITTED, ABORTED, or WAITING while it is undecided.

    Only the present owner may say so, of what it runs or has recorded; `None` is neither. That means
    abort (*presumed abort*: C. Mohan, B. Lindsay and R. Obermarck, "Transaction management in the R*
    distributed database management system", TODS 1986), for a commit is recorded before the first
    participant hears of it, and not forgotten before the last has said that it is done.
    """
    if txn is None or round < txn.round:
        return State.ABORTED
    if round > txn.round:
        return State.WAITING  # of an owner that has come after this one
    if txn.phase is Phase.COMMITTING or txn.outcome == "committed":
        return State.COMMITTED
    undecided = txn.phase in (Phase.VOTING, Phase.PRECOMMITTING, Phase.LEARNING)
    return State.WAITING if undecided else State.ABORTED
