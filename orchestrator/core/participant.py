"""What a participant of two- and three-phase commit does, given what it durably knows. Pure.

A service reads the `Branch` of a transaction and asks `decide`. An `Act` is one Postgres transaction: the
service runs it, and asks again, until `decide` gives the answer to send. Between any two acts it may die;
what is durable then is again a Branch, and the request comes again. The acts, and what they make durable:

    WORK      BEGIN, the marker, the work of the orders, PREPARE TRANSACTION '<gid>'
    PRECOMMIT a note beside the prepared transaction, which can no longer be written in
    COMMIT    COMMIT PREPARED '<gid>'; the marker becomes visible with the work
    ROLLBACK  ROLLBACK PREPARED '<gid>'
    BURY      the tombstone

Marker and tombstone are *one row a transaction*: its key the transaction's id, in it a round and an
outcome. The marker says that this round has committed; written in the prepared transaction, it is visible
exactly if that is true. The tombstone says that no round up to this one ever will. WORK inserts the row or
overwrites an older tombstone; a younger one it leaves alone, and then it has come too late. BURY waits for
a marker that is being prepared, gives up after the lock timeout, and `decide` is asked again.

So an abort that overtakes its Prepare leaves no orphan (apache/incubator-seata#4073), and a second Commit
is answered from the marker, for "does not exist" proves nothing.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, assert_never

from orchestrator.core.exchange import Abort, Commit, Inquire, PreCommit, Prepare, Request, Round, State, Vote

NEVER = Round(0, 0)


@dataclass(frozen=True, slots=True)
class Branch:
    """All that a participant durably knows of one transaction."""

    prepared: Round | None = None  # in pg_prepared_xacts
    precommitted: Round | None = None  # the note
    committed: Round | None = None  # the marker
    buried: Round = NEVER  # the tombstone: this round and all before it


class Verb(StrEnum):
    WORK = "work"
    PRECOMMIT = "pre-commit"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    BURY = "bury"


class Act(NamedTuple):
    verb: Verb
    round: Round


def decide(branch: Branch, request: Request) -> Act | Vote | State:
    """What to do next; or the vote if this is a Prepare, or else the state to answer with."""
    match request:
        case Prepare(round) if round in (branch.prepared, branch.committed):
            return "yes"
        case Prepare(round) if branch.prepared or branch.committed or round <= branch.buried:
            return "busy"  # late, or not yet: in this round nothing will be done here
        case Prepare(round):
            return Act(Verb.WORK, round)
        case PreCommit(round) if state(branch, round) is State.WAITING:
            return Act(Verb.PRECOMMIT, round)
        case Commit(round) if round == branch.prepared:
            return Act(Verb.COMMIT, round)
        case Abort(round) if branch.prepared is not None and branch.prepared <= round:
            return Act(Verb.ROLLBACK, branch.prepared)
        case Abort(round) if branch.committed is not None and branch.committed <= round:
            return State.COMMITTED  # by hand, against the decision: the coordinator has to know
        case Abort(round) | Inquire(round) if state(branch, round) is State.INITIAL:
            # Also for Inquire: who says that it has not voted promises not to.
            return Act(Verb.BURY, round)
        case PreCommit(round) | Commit(round) | Abort(round) | Inquire(round):
            return state(branch, round)
        case _:
            assert_never(request)


def state(branch: Branch, round: Round) -> State:
    if round == branch.committed:
        return State.COMMITTED
    if round == branch.prepared:
        return State.PRECOMMITTED if round == branch.precommitted else State.WAITING
    overtaken = branch.prepared is not None and round < branch.prepared
    return State.ABORTED if overtaken or branch.committed or round <= branch.buried else State.INITIAL


def after(branch: Branch, act: Act) -> Branch | None:
    """What is durable after the act; None if it failed, and changed nothing. A service does this in SQL."""
    free = branch.prepared is None and branch.committed is None  # otherwise the row is locked, or final
    match act:
        case (Verb.WORK, round) if free and round > branch.buried:
            return replace(branch, prepared=round)
        case (Verb.BURY, round) if free:
            return replace(branch, buried=max(branch.buried, round))
        case (Verb.PRECOMMIT, round) if round == branch.prepared:
            return replace(branch, precommitted=round)
        case (Verb.COMMIT, round) if round == branch.prepared:
            return replace(branch, prepared=None, committed=round)
        case (Verb.ROLLBACK, round) if round == branch.prepared:
            return replace(branch, prepared=None)
    return None


def vote(command_tag: str) -> Vote:
    """PREPARE TRANSACTION of a transaction that has failed raises no error. Its command tag is ROLLBACK."""
    return "yes" if command_tag == "PREPARE TRANSACTION" else "busy"


def gid(transaction: str, round: Round) -> str:
    """The name of a prepared transaction. `transaction` is an id that needs no quoting, e.g. a UUID."""
    return f"{transaction}/{round.epoch}/{round.number}"


def read_gid(text: str) -> tuple[str, Round] | None:
    """The transaction and round of a prepared transaction; None if it is somebody else's."""
    match text.split("/"):
        case [transaction, epoch, number] if epoch.isdecimal() and number.isdecimal():
            return transaction, Round(int(epoch), int(number))
    return None
