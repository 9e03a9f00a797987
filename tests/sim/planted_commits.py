"""Bugs that somebody could write in two- or three-phase commit. Each is the real code but for one thing."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from orchestrator.core import commit, participant, rounds, termination, three_phase, two_phase
from orchestrator.core.commit import Ended, Event, Force, Phase, TimedOut, Transaction, Turn
from orchestrator.core.exchange import Abort, Acked, Commit, PreCommit, Request, Round, State, Vote, Voted
from orchestrator.core.participant import Act, Branch, Verb
from orchestrator.core.termination import Termination
from tests.sim.commit_world import THREE_PHASE, TWO_PHASE, Protocol


def says_commit_before_it_is_durable(txn: Transaction, event: Event) -> Turn:
    after, effects = two_phase.step(txn, event)
    late = [effect for effect in effects if isinstance(effect, Force)]
    return after, (*(effect for effect in effects if effect not in late), *late)


def votes_yes_whatever_the_command_tag(command_tag: str) -> Vote:
    return "yes"


def leaves_no_tombstone(branch: Branch, request: Request) -> Act | Vote | State:
    act = participant.decide(branch, request)
    return State.ABORTED if isinstance(act, Act) and act.verb is Verb.BURY else act


def has_no_marker(branch: Branch, request: Request) -> Act | Vote | State:
    """What is neither prepared nor buried was never here, it thinks; perhaps it has committed."""
    return participant.decide(replace(branch, committed=None), request)


def takes_an_old_abort_for_one_of_the_present(branch: Branch, request: Request) -> Act | Vote | State:
    if isinstance(request, Abort) and branch.prepared is not None:
        return Act(Verb.ROLLBACK, branch.prepared)
    return participant.decide(branch, request)


def aborts_what_is_live(txn: Transaction | None, round: Round) -> State:
    said = commit.verdict(txn, round)
    return State.ABORTED if said is State.WAITING else said


def lets_a_stale_owner_write(epoch: int, highest: int) -> bool:
    return True


def prepares_a_refused_order_again(txn: Transaction, event: Event) -> Turn:
    after, effects = two_phase.step(txn, event)
    if isinstance(event, Voted) and len(after.orders) < len(txn.orders):
        return replace(after, orders=txn.orders), effects
    return after, effects


def forgets_a_commit_at_the_first_acknowledgement(txn: Transaction, event: Event) -> Turn:
    after, effects = two_phase.step(txn, event)
    if txn.phase is Phase.COMMITTING and after.waiting != txn.waiting:
        return replace(after, phase=Phase.ENDED, outcome="committed"), (Ended("committed"),)
    return after, effects


def commits_when_a_majority_votes_yes(txn: Transaction, event: Event) -> Turn:
    after, effects = two_phase.step(txn, event)
    if after.phase is Phase.VOTING and len(after.waiting) < len(txn.waiting) == 2 and not after.refusals:
        return rounds.record(after, Phase.COMMITTING)
    return after, effects


def counts_votes_of_other_rounds(txn: Transaction, event: Event) -> Turn:
    if isinstance(event, Voted) and txn.phase is Phase.VOTING:
        event = replace(event, round=txn.round)
    return two_phase.step(txn, event)


def tires_of_committing(txn: Transaction, event: Event) -> Turn:
    if isinstance(event, TimedOut) and txn.phase is Phase.COMMITTING and txn.attempt >= 3:
        return replace(txn, phase=Phase.ENDED, outcome="committed", waiting=()), (Ended("committed"),)
    return two_phase.step(txn, event)


def never_commits(txn: Transaction, event: Event) -> Turn:
    """Safe, and wrong: it can only be seen by what is out of reach."""
    if isinstance(event, Voted) and rounds.unanimous(txn, event):
        return rounds.abort(txn, lost=True)
    return two_phase.step(txn, event)


def aborts_what_an_earlier_owner_committed(txn: Transaction, epoch: int) -> Turn:
    return rounds.take_over(txn, epoch)


def commits_at_the_first_precommit(txn: Transaction, event: Event) -> Turn:
    if isinstance(event, Acked) and rounds.awaited(txn, event, Phase.PRECOMMITTING):
        return rounds.record(txn, Phase.COMMITTING)
    return three_phase.step(txn, event)


def aborts_what_was_precommitted(txn: Transaction, epoch: int) -> Turn:
    return three_phase.resume(txn, epoch) if txn.phase is Phase.COMMITTING else rounds.take_over(txn, epoch)


def commits_what_was_precommitted(txn: Transaction, epoch: int) -> Turn:
    if txn.phase is Phase.PRECOMMITTING:
        return rounds.record(replace(txn, epoch=epoch), Phase.COMMITTING)
    return three_phase.resume(txn, epoch)


def goes_by_its_own_state(own: Termination, event: termination.Event) -> termination.Turn:
    """Three-phase commit without a termination protocol: w aborts, p commits."""
    if isinstance(event, Acked) and event.participant == own.me:
        own = replace(own, participants=(own.me,), asked=(own.me,), waiting=(own.me,), heard=())
    return termination.step(own, event)


def believes_what_was_said_before_a_death(own: Termination, event: termination.Event) -> termination.Turn:
    if isinstance(event, TimedOut) and own.waiting and own.heard and event.token == termination.token(own):
        return termination._conclude(replace(own, waiting=()))
    return termination.step(own, event)


def counts_who_was_down(own: Termination, event: termination.Event) -> termination.Turn:
    if isinstance(event, Acked):
        event = replace(event, recovering=False)
    return termination.step(own, event)


def commits_before_all_are_precommitted(own: Termination, event: termination.Event) -> termination.Turn:
    after, effects = termination.step(own, event)
    if any(isinstance(e, commit.Send) and isinstance(e.request, PreCommit) for e in effects):
        return termination._tell(after, Commit(own.round))
    return after, effects


@dataclass(frozen=True, slots=True)
class Bug:
    protocol: Protocol
    caught_by: frozenset[str]  # "explorer", "simulator"

    @property
    def name(self) -> str:
        real = THREE_PHASE if self.protocol.begin is THREE_PHASE.begin else TWO_PHASE
        fields: list[Callable[..., object]] = [getattr(self.protocol, f) for f in Protocol.__slots__]
        return next(f.__name__ for f in fields if f not in [getattr(real, g) for g in Protocol.__slots__])


BOTH = frozenset({"explorer", "simulator"})
EXPLORER = frozenset({"explorer"})
SIMULATOR = frozenset({"simulator"})

BUGS = [
    Bug(replace(TWO_PHASE, step=says_commit_before_it_is_durable), BOTH),
    Bug(replace(TWO_PHASE, vote=votes_yes_whatever_the_command_tag), BOTH),
    Bug(replace(TWO_PHASE, decide=leaves_no_tombstone), BOTH),
    Bug(replace(TWO_PHASE, decide=has_no_marker), BOTH),
    Bug(replace(TWO_PHASE, decide=takes_an_old_abort_for_one_of_the_present), SIMULATOR),
    Bug(replace(TWO_PHASE, verdict=aborts_what_is_live), BOTH),
    Bug(replace(TWO_PHASE, write_is_allowed=lets_a_stale_owner_write), BOTH),
    Bug(replace(TWO_PHASE, step=prepares_a_refused_order_again), BOTH),
    Bug(replace(TWO_PHASE, step=forgets_a_commit_at_the_first_acknowledgement), BOTH),
    Bug(replace(TWO_PHASE, step=commits_when_a_majority_votes_yes), BOTH),
    Bug(replace(TWO_PHASE, step=counts_votes_of_other_rounds), BOTH),
    Bug(replace(TWO_PHASE, step=tires_of_committing), SIMULATOR),
    Bug(replace(TWO_PHASE, step=never_commits), BOTH),
    Bug(replace(TWO_PHASE, resume=aborts_what_an_earlier_owner_committed), BOTH),
    Bug(replace(THREE_PHASE, step=commits_at_the_first_precommit), EXPLORER),
    Bug(replace(THREE_PHASE, resume=aborts_what_was_precommitted), EXPLORER),
    Bug(replace(THREE_PHASE, resume=commits_what_was_precommitted), EXPLORER),
    Bug(replace(THREE_PHASE, terminate=goes_by_its_own_state), BOTH),
    Bug(replace(THREE_PHASE, terminate=believes_what_was_said_before_a_death), EXPLORER),
    Bug(replace(THREE_PHASE, terminate=counts_who_was_down), EXPLORER),
    Bug(replace(THREE_PHASE, terminate=commits_before_all_are_precommitted), EXPLORER),
]
