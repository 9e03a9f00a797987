"""Our core, taken through the steps of a specification that others have checked.

L. Lamport's TwoPhase (J. Gray and L. Lamport, "Consensus on transaction commit", TODS 2006) has, with three
resource managers, 288 distinct states: TLC says so. Here its next-state relation is carried out by our
functions: a participant's by `decide` and `after`, the transaction manager's by `step`. The one thing to
tell apart is that it hears the last vote in one step and decides in the next: our coordinator does both at
once, and its `Force`, the first thing in its effects, is what the specification calls the decision.
"""

from collections.abc import Iterator
from typing import NamedTuple

from orchestrator.core import two_phase
from orchestrator.core.commit import Phase, Send, TimedOut, Transaction, token
from orchestrator.core.exchange import Abort, Commit, Prepare, Request, State, Voted
from orchestrator.core.participant import Act, Branch, after, decide, state
from tests.exhaustive.explorer import Move, explore

RM = ("rm1", "rm2", "rm3")
BEGUN, _ = two_phase.begin(RM, ("a",), 1)
ROUND = BEGUN.round


class World(NamedTuple):
    manager: Transaction  # as it is durable
    prepared: Transaction  # as its memory has it: with the votes heard
    branches: tuple[Branch, ...]
    messages: frozenset[str]  # "Prepared rm1", "Commit", "Abort"


def handled(branch: Branch, request: Request) -> Branch:
    while isinstance(act := decide(branch, request), Act):
        changed = after(branch, act)
        assert changed is not None
        branch = changed
    return branch


class TwoPhase:
    def starts(self) -> list[World]:
        return [World(BEGUN, BEGUN, (Branch(),) * len(RM), frozenset())]

    def check(self, world: World) -> None:
        """TCConsistent: not one aborted and another committed."""
        states = {state(branch, ROUND) for branch in world.branches}
        assert not {State.ABORTED, State.COMMITTED} <= states

    def ended(self, world: World) -> bool:
        return all(state(b, ROUND) in (State.COMMITTED, State.ABORTED) for b in world.branches)

    def moves(self, world: World) -> Iterator[Move[World]]:
        manager, heard, branches, messages = world
        if manager.phase is Phase.VOTING:
            for rm in RM:
                if f"Prepared {rm}" in messages:
                    votes, _ = two_phase.step(heard, Voted(rm, ROUND, "yes"))
                    yield Move(f"TMRcvPrepared({rm})", world._replace(prepared=votes))
            if heard.phase is Phase.COMMITTING:
                yield Move("TMCommit", world._replace(manager=heard, messages=messages | {"Commit"}))
            aborting, effects = two_phase.step(BEGUN, TimedOut(token(BEGUN)))
            assert Send(RM[0], Abort(ROUND)) in effects
            yield Move("TMAbort", world._replace(manager=aborting, messages=messages | {"Abort"}))
        for n, rm in enumerate(RM):
            if state(branches[n], ROUND) is State.INITIAL:
                # Spontaneous in the specification; no message is needed either way.
                yield _moved(f"RMPrepare({rm})", world, n, Prepare(ROUND, ("a",)), f"Prepared {rm}")
                yield _moved(f"RMChooseToAbort({rm})", world, n, Abort(ROUND))
            if "Commit" in messages:
                yield _moved(f"RMRcvCommitMsg({rm})", world, n, Commit(ROUND))
            if "Abort" in messages:
                yield _moved(f"RMRcvAbortMsg({rm})", world, n, Abort(ROUND))


def _moved(name: str, world: World, n: int, request: Request, *says: str) -> Move[World]:
    branch = handled(world.branches[n], request)
    branches = (*world.branches[:n], branch, *world.branches[n + 1 :])
    return Move(name, world._replace(branches=branches, messages=world.messages | set(says)))


def test_our_core_has_as_many_states_as_lamports_specification() -> None:
    found = explore(TwoPhase())
    assert len(found.worlds) == 288
    assert found.livelocked() == set()
