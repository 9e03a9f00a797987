"""What a coordinator and a participant say to one another in two- and three-phase commit. Pure values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple


class Round(NamedTuple):
    """One attempt to commit a transaction. A later owner's rounds come after all of an earlier one's."""

    epoch: int  # of the coordinator that owns the transaction; Postgres lets only the highest write
    number: int  # from 1; 0 comes before all that its owner begins


class State(StrEnum):
    """Of a participant in a round: q, w, p, c and a in Skeen's papers."""

    INITIAL = "initial"
    WAITING = "waiting"  # has voted yes, and may no longer decide alone
    PRECOMMITTED = "pre-committed"
    COMMITTED = "committed"
    ABORTED = "aborted"


Vote = Literal["yes", "no", "busy"]


@dataclass(frozen=True, slots=True)
class Refusal:
    order: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Do the work of these orders, and be ready for either outcome. Three-phase commit says CanCommit."""

    round: Round
    orders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreCommit:
    """Of three-phase commit: everybody has voted yes."""

    round: Round


@dataclass(frozen=True, slots=True)
class Commit:
    """Three-phase commit says DoCommit."""

    round: Round


@dataclass(frozen=True, slots=True)
class Abort:
    """This round and every one before it; also those whose Prepare has yet to arrive."""

    round: Round


@dataclass(frozen=True, slots=True)
class Inquire:
    """Of three-phase commit: where are you?"""

    round: Round


Request = Prepare | PreCommit | Commit | Abort | Inquire


@dataclass(frozen=True, slots=True)
class Voted:
    """The answer to Prepare.

    A no is definite: stock or money refuses the orders it names. Busy is all else that is not a yes: a
    lock not got in time, a deadlock, a failed serialization, too many prepared transactions.
    """

    participant: str
    round: Round
    vote: Vote
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Acked:
    """The answer to everything else: where the participant is now."""

    participant: str
    round: Round
    state: State
    recovering: bool = False  # of three-phase commit: it has been down since it voted


Answer = Voted | Acked
