"""The world around two- and three-phase commit, for the explorer and the simulator: what participants and
the coordinator's database keep, and what may never happen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

from orchestrator.core import commit, participant, termination, three_phase, two_phase
from orchestrator.core.commit import Event, Transaction, Turn
from orchestrator.core.exchange import Refusal, Request, Round, State, Vote
from orchestrator.core.participant import Act, Branch
from orchestrator.core.rounds import DEADLINE_EXCEEDED
from tests.sim.world import insist

PARTICIPANTS = ("order", "inventory", "payment", "loyalty")


class Site(NamedTuple):
    """A participant: what is durable there, and the orders whose work that holds."""

    branch: Branch = Branch()
    orders: tuple[str, ...] = ()


def happen(site: Site, act: Act, orders: tuple[str, ...] = ()) -> Site | None:
    """An act at its participant; None if it failed. `orders` are those of a Prepare."""
    branch = participant.after(site.branch, act)
    if branch is None:
        return None
    if act.verb is participant.Verb.WORK:
        return Site(branch, orders)
    return Site(branch, () if act.verb is participant.Verb.ROLLBACK else site.orders)


def write_is_allowed(epoch: int, highest: int) -> bool:
    """The check in the transaction that `Force` asks for."""
    return epoch == highest


@dataclass(frozen=True, slots=True)
class Protocol:
    """The code under test: the real thing, unless a test plants a bug."""

    begin: Callable[[tuple[str, ...], tuple[str, ...], int, bool], Turn] = two_phase.begin
    step: Callable[[Transaction, Event], Turn] = two_phase.step
    resume: Callable[[Transaction, int], Turn] = two_phase.resume
    verdict: Callable[[Transaction | None, Round], State] = commit.verdict
    decide: Callable[[Branch, Request], Act | Vote | State] = participant.decide
    vote: Callable[[str], Vote] = participant.vote
    terminate: Callable[[termination.Termination, termination.Event], termination.Turn] = termination.step
    write_is_allowed: Callable[[int, int], bool] = write_is_allowed


def protocol_of(module: ModuleType) -> Protocol:
    return Protocol(begin=module.begin, step=module.step, resume=module.resume)


TWO_PHASE = protocol_of(two_phase)
THREE_PHASE = protocol_of(three_phase)


def agree(sites: Sequence[Site]) -> bool:
    """Where one has committed, every other has, or still can: it has voted yes and decided nothing."""
    for site in sites:
        round = site.branch.committed
        if round is not None and any(
            participant.state(other.branch, round) in (State.ABORTED, State.INITIAL) for other in sites
        ):
            return False
    return True


def committed(sites: Sequence[Site]) -> set[str]:
    return {order for site in sites if site.branch.committed for order in site.orders}


def keep_promises(sites: Sequence[Site], refused: frozenset[str]) -> None:
    """What must be true at every instant, of one transaction."""
    insist(agree(sites), "split: one has committed, and another never will")
    done = {site.orders for site in sites if site.branch.committed}
    insist(len(done) < 2, "they committed different orders")
    insist(committed(sites).isdisjoint(refused), "an order was refused, and committed all the same")


def refuse(refusal: Refusal, refused: frozenset[str], refusable: frozenset[str], expired: bool) -> None:
    """What must be true when a customer is refused. Stock and money may refuse what is `refusable`."""
    insist(refusal.order not in refused, f"{refusal.order} was refused twice")
    late = refusal.reason == DEADLINE_EXCEEDED
    insist(expired if late else refusal.order in refusable, f"refused without a cause: {refusal}")


def all_is_over(sites: Sequence[Site], orders: Sequence[str], refused: frozenset[str]) -> None:
    """What must be true when the coordinator has ended, and for ever after."""
    insist(all(site.branch.prepared is None for site in sites), "ended, and somebody is left in doubt")
    done = committed(sites)
    insist(not done or all(site.branch.committed for site in sites), "ended, and somebody has not committed")
    lost = sorted(set(orders) - done - refused)
    insist(not lost, f"ended, and nobody ever answers {lost}")
