"""How the participants of three-phase commit finish when their coordinator is dead. Pure.

The central-site termination protocol of D. Skeen, "Nonblocking commit protocols", SIGMOD 1981, with the
rules TR1 to TR4 of P. Bernstein, V. Hadzilacos and N. Goodman, "Concurrency control and recovery in
database systems", 1987, §7.5. A participant that has voted yes and hears nothing more asks all where they
are. The lowest-numbered of those that answer leads, and decides for all:

    TR1  somebody has aborted     → abort     (who has not voted yet aborts by being asked)
    TR2  somebody has committed   → commit
    TR3  all are in w             → abort     (so nobody has committed)
    TR4  somebody is in p         → bring all to p, then commit

If the leader dies, the next begins again. A participant that was down since it voted does not know what it
has missed. It neither leads nor counts, but asks until somebody has decided. Only when all have been
down, and all are back, do they count; until then they wait. (D. Skeen, "Determining the last process to
fail", TOCS 1985, lets some go on sooner.)

So any number of participants may die, and the coordinator, at any time, and those that live finish, and
agree. What it takes is that silence means death, and that nothing the dead have sent arrives after they
have been given up. See `three_phase.py`.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from orchestrator.core.commit import Send, TimedOut, Wake
from orchestrator.core.exchange import Abort, Acked, Commit, Inquire, PreCommit, Request, Round, State


@dataclass(frozen=True, slots=True)
class Termination:
    """What one participant has found out. It is not durable: whoever restarts begins anew, as recovering."""

    me: str
    participants: tuple[str, ...]  # in the order of election, the same for all
    round: Round
    asked: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()  # asked, and not heard
    heard: tuple[Acked, ...] = ()
    attempt: int = 0
    ended: bool = False


class Verdict(StrEnum):
    ABORT = "abort"
    COMMIT = "commit"
    PRECOMMIT = "pre-commit"
    WAIT = "wait"


Event = Acked | TimedOut
Effect = Send | Wake  # a participant asks itself, too
Turn = tuple[Termination, tuple[Effect, ...]]


def begin(me: str, participants: tuple[str, ...], round: Round) -> Turn:
    """`me` is in w or p in this round, and its coordinator is silent; or it has just recovered."""
    return _inquire(Termination(me, participants, round), participants)


def step(own: Termination, event: Event) -> Turn:
    """Total: an event that is late, repeated or makes no sense changes nothing and has no effect."""
    match event:
        case Acked(name, round) if round == own.round and name in own.waiting:
            waiting = tuple(w for w in own.waiting if w != name)
            own = replace(own, waiting=waiting, heard=(*own.heard, event))
            if event.state in (State.COMMITTED, State.ABORTED):
                return _conclude(own)
            return (own, ()) if waiting else _all_heard(own)
        case TimedOut(armed) if armed == token(own) and own.waiting:
            # Who is silent is dead.
            return _inquire(own, tuple(name for name in own.asked if name not in own.waiting))
        case TimedOut(armed) if armed == token(own) and not own.ended:
            return _inquire(own, own.participants)
        case Acked() | TimedOut():
            return own, ()
        case _:
            assert_never(event)


def token(own: Termination) -> str:
    return f"terminating/{own.round.epoch}.{own.round.number}/{own.attempt}"


def rule(own: Termination) -> Verdict:
    states = [answer.state for answer in own.heard]
    if State.ABORTED in states:
        return Verdict.ABORT  # TR1
    if State.COMMITTED in states:
        return Verdict.COMMIT  # TR2
    if _leader(own) != own.me:
        return Verdict.WAIT
    undecided = {answer.state for answer in _counting(own)}
    if undecided == {State.WAITING}:
        return Verdict.ABORT  # TR3
    return Verdict.COMMIT if undecided == {State.PRECOMMITTED} else Verdict.PRECOMMIT  # TR4


def _counting(own: Termination) -> tuple[Acked, ...]:
    """Those that have not been down since they voted; or all, if all have been and all are back."""
    down = any(answer.recovering for answer in own.heard)
    return () if down and len(own.heard) < len(own.participants) else own.heard


def _leader(own: Termination) -> str:
    names = [answer.participant for answer in _counting(own)]
    return min(names, key=own.participants.index, default="")


def _all_heard(own: Termination) -> Turn:
    """Only what the living say after a death counts: they say it again, until nobody is missing any more.

    A leader that died half-way may have moved somebody who had answered before.
    """
    never_down = tuple(answer.participant for answer in own.heard if not answer.recovering)
    if 0 < len(never_down) < len(own.heard):
        return _inquire(own, never_down)
    return _conclude(own)


def _conclude(own: Termination) -> Turn:
    match rule(own):
        case Verdict.ABORT:
            return _tell(own, Abort(own.round))
        case Verdict.COMMIT:
            return _tell(own, Commit(own.round))
        case Verdict.PRECOMMIT:
            behind = tuple(a.participant for a in _counting(own) if a.state is State.WAITING)
            heard = tuple(answer for answer in own.heard if answer.participant not in behind)
            return _ask(replace(own, waiting=behind, heard=heard), PreCommit(own.round))
        case Verdict.WAIT:
            return _ask(replace(own, waiting=(), heard=()), Inquire(own.round))


def _inquire(own: Termination, asked: tuple[str, ...]) -> Turn:
    return _ask(replace(own, asked=asked, waiting=asked, heard=()), Inquire(own.round))


def _ask(own: Termination, request: Request) -> Turn:
    own = replace(own, attempt=own.attempt + 1)
    return own, (*(Send(name, request) for name in own.waiting), Wake(token(own), own.attempt))


def _tell(own: Termination, request: Request) -> Turn:
    """Once. Who does not hear it is in doubt, asks in its turn, and meets somebody who has decided."""
    own = replace(own, waiting=(), ended=True)
    return own, tuple(Send(name, request) for name in own.participants)
