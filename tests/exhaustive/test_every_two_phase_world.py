"""Every reachable world of a transaction under two-phase commit: all agree, and all comes to an end.

The promises themselves are in `tests/sim/commit_world.py`; exploring at all is to check them.
"""

import sys
from collections.abc import Callable

import pytest

from orchestrator.core import two_phase
from orchestrator.core.commit import Phase
from orchestrator.core.exchange import Acked, Answer, Prepare, Refusal, Round, State, Voted
from orchestrator.core.participant import state
from tests.exhaustive.commit_worlds import Scope, World
from tests.exhaustive.explorer import Exploration, explore
from tests.exhaustive.two_phase_worlds import TwoPhaseModel
from tests.sim.commit_world import committed

TWO = frozenset({"a", "b"})
SCOPES = {
    "two, with races and silence": Scope(participants=2, silence=True),
    "three": Scope(participants=3, busy=False),
    "four, whose owner dies": Scope(participants=4, busy=False, paused=False),
    "two and three owners": Scope(participants=2, epochs=3, busy=False, paused=False),
    "a group of two, whose owner dies": Scope(2, ("a", "b"), TWO, rounds=2, busy=False, paused=False),
    "a group of two, overtaken": Scope(2, ("a", "b"), TWO, busy=False),
    "a group at three": Scope(3, ("a", "b"), TWO, rounds=2, epochs=1),
    "one after the other": Scope(participants=2, in_turn=True, alike=False, busy=False),
    "with an operator": Scope(participants=2, busy=False, by_hand=True, alike=False),
}
WORLDS = {
    "two, with races and silence": 2379,
    "three": 3559,
    "four, whose owner dies": 967,
    "two and three owners": 706,
    "a group of two, whose owner dies": 1700,
    "a group of two, overtaken": 3209,
    "a group at three": 4328,
    "one after the other": 968,
    "with an operator": 6530,
}
"""Change these figures only if you know which worlds are new, or gone, and want it so."""


@pytest.fixture(scope="module")
def found() -> dict[str, Exploration[World]]:
    return {name: explore(TwoPhaseModel(scope)) for name, scope in SCOPES.items()}


@pytest.mark.parametrize("name", SCOPES)
def test_no_world_breaks_a_promise(
    found: dict[str, Exploration[World]], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    count = len(found[name].worlds)
    with capsys.disabled():
        sys.stdout.write(f" [2PC, {name}: {count:,} worlds] ")
    assert count == WORLDS[name]


@pytest.mark.parametrize("name", SCOPES)
def test_from_every_world_messages_timers_and_new_owners_lead_to_an_end(
    found: dict[str, Exploration[World]], name: str
) -> None:
    assert found[name].livelocked() == set()


def _ends(done: set[str], refused: set[str]) -> Callable[[World], bool]:
    return lambda w: w.over and committed(w.sites) == done and set(w.refused) == refused


REACHABLE: dict[str, Callable[[World], bool]] = {
    "all is committed": _ends({"a", "b"}, set()),
    "one order is refused, and the other committed": _ends({"a"}, {"b"}),
    "all is refused": _ends(set(), {"a", "b"}),
    "committed by a second owner, which began anew": lambda w: any(
        site.branch.committed == (2, 1) for site in w.sites
    ),
    "committed by a second owner, as the first had decided": lambda w: (
        w.over and w.epoch == 2 and all(site.branch.committed == (1, 1) for site in w.sites)
    ),
    "an abort overtakes its Prepare, which meets a tombstone": lambda w: any(
        request == Prepare(seat.site.branch.buried, request.orders)
        for seat in w.seats
        for request in seat.requests
        if isinstance(request, Prepare)
    ),
    "all have committed, and the coordinator does not know it yet": lambda w: (
        not w.over and all(site.branch.committed for site in w.sites)
    ),
    "two owners at once": lambda w: len(w.owners) == 2,
}


@pytest.mark.parametrize("name", REACHABLE)
def test_a_group_can_come_to_where(found: dict[str, Exploration[World]], name: str) -> None:
    assert any(found[group].nearest(REACHABLE[name]) for group in SCOPES if "group" in group)


def test_what_the_worlds_leave_out_changes_nothing(found: dict[str, Exploration[World]]) -> None:
    """Every coordinator that occurs anywhere, and every answer that any participant could ever give."""
    known = {o.txn for e in found.values() for w in e.worlds for o in w.owners if o.txn}
    assert len(known) > 200
    rounds = [Round(epoch, number) for epoch in (1, 2, 3) for number in (0, 1, 2)]
    for txn in known:
        for name in txn.participants:
            for round in rounds:
                late = round != txn.round or name not in txn.waiting
                votes: list[Answer] = [Voted(name, round, "yes"), Voted(name, round, "busy"),
                         Voted(name, round, "no", (Refusal("a", "refused"),))]  # fmt: skip
                acks: list[Answer] = [Acked(name, round, state) for state in State]
                for answer in (*votes, *acks):
                    unasked = isinstance(answer, Voted) != (txn.phase is Phase.VOTING)
                    if late or unasked:
                        assert two_phase.step(txn, answer) == (txn, ())


def test_two_phase_commit_blocks_in_four_steps(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody lives who knows the outcome, and nobody may guess it; others wait for the locks."""
    found = explore(TwoPhaseModel(Scope(participants=2, epochs=1, deadly=True, alike=False)))

    def blocked(world: World) -> bool:
        undecided = all(state(s.branch, Round(1, 1)) is State.WAITING for s in world.sites)
        return undecided and not world.owners

    world = found.nearest(blocked)
    assert world is not None
    moves = found.schedule(world)
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(["2PC blocks:", "Prepare is sent", *moves]) + "\n")
    assert sorted(moves) == [
        "Prepare 1.1 → inventory: yes", "Prepare 1.1 → order: yes", "coordinator 1 crashes",
    ]  # fmt: skip
    assert {move.world for move in found.model.moves(world)} == {world}, "and nothing leads out of it"
    assert world in found.livelocked()
