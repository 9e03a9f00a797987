"""The journal of two- and three-phase commit: votes before decisions, records before words, and clocks."""

from types import ModuleType

import pytest

from orchestrator.core import three_phase, two_phase
from orchestrator.core.clocks import Entry
from orchestrator.core.commit import TimedOut, Transaction, token
from orchestrator.core.commit_journal import Begun, ByHand, Resumed, Seen, unfold
from orchestrator.core.exchange import Acked, Refusal, Round, State, Voted

WHO = ("order", "inventory", "payment")
FIRST = Round(1, 1)


def lines(*events: object) -> list[Seen]:
    return [Seen(float(n), "orchestrator-1", event) for n, event in enumerate(events)]  # type: ignore[arg-type]


def votes(round: Round = FIRST) -> list[Voted]:
    return [Voted(name, round, "yes") for name in WHO]


def acks(state: State, round: Round = FIRST) -> list[Acked]:
    return [Acked(name, round, state) for name in WHO]


def told(entries: tuple[Entry, ...], role: str) -> list[str]:
    return [entry.what for entry in entries if entry.role == role]


def test_a_commit_is_durable_before_anybody_hears_of_it() -> None:
    begun = Begun(WHO, ("o",), 1, False)
    entries = unfold(two_phase, "t", lines(begun, *votes(), *acks(State.COMMITTED)))
    own = told(entries, "orchestrator")
    assert own.index("durable: committing") < own.index("commit")
    assert own[-1] == "ended: committed"
    assert told(entries, "payment") == [
        "prepare",
        "votes yes",
        "votes yes",
        "commit",
        "committed",
        "committed",
    ]


def test_three_phase_commit_has_a_phase_more() -> None:
    begun = Begun(WHO, ("o",), 1, False)
    events = [begun, *votes(), *acks(State.PRECOMMITTED), *acks(State.COMMITTED)]
    own = told(unfold(three_phase, "t", lines(*events)), "orchestrator")
    assert own.index("durable: pre-committing") < own.index("pre-commit") < own.index("durable: committing")


def test_a_refusal_names_its_order_and_its_reason() -> None:
    begun = Begun(WHO, ("o",), 1, False)
    no = Voted("inventory", FIRST, "no", (Refusal("o", "out-of-stock"),))
    own = told(unfold(two_phase, "t", lines(begun, no)), "orchestrator")
    assert own.index("votes no: out-of-stock") < own.index("o refused: out-of-stock") < own.index("abort")


def test_an_end_that_not_all_share_says_so_once() -> None:
    begun = Begun(WHO, ("o",), 1, False)
    answers = [Acked(name, FIRST, State.COMMITTED if name == "order" else State.ABORTED) for name in WHO]
    own = told(unfold(two_phase, "t", lines(begun, *votes(), *answers)), "orchestrator")
    assert [what for what in own if what.startswith("ended")] == [
        "ended: committed, mixed: not by inventory and payment"
    ]


@pytest.mark.parametrize("core", [two_phase, three_phase])
def test_a_receive_is_after_its_send_by_every_clock(core: ModuleType) -> None:
    begun = Begun(WHO, ("o",), 1, False)
    txn, _ = core.begin(WHO, ("o",), 1)
    assert isinstance(txn, Transaction)
    entries = unfold(core, "t", lines(begun, *votes()[:2], TimedOut(token(txn)), Resumed(2)))
    sent = {entry.message_id: entry for entry in entries if entry.kind == "sent"}
    received = [entry for entry in entries if entry.kind == "received" and entry.message_id]
    assert received
    for entry in received:
        send = sent[entry.message_id]
        assert all(entry.clock.get(role, 0) >= ticks for role, ticks in send.clock.items())
    assert "taken over, epoch 2" in told(entries, "orchestrator")


def test_what_changes_nothing_is_marked_late() -> None:
    begun = Begun(WHO, ("o",), 1, False)
    entries = unfold(two_phase, "t", lines(begun, votes()[0], votes()[0]))
    assert [
        entry.kind for entry in entries if entry.what == "votes yes" and entry.role == "orchestrator"
    ] == [
        "received",
        "late",
    ]


def test_what_an_operator_decides_is_in_the_journal_and_moves_nobody() -> None:
    asked = ByHand("aborted", ("inventory",), "nobody will come")
    done = ByHand("aborted", ("inventory",), "nobody will come", ("aborted",))
    plain = [Begun(WHO, ("o",), 1, False), *votes()]
    entries = unfold(two_phase, "t", lines(*plain[:2], asked, done, *plain[2:]))
    own = told(entries, "orchestrator")
    decision = "an operator decides: aborted at inventory (nobody will come)"
    assert own.index("votes yes") < own.index(decision) < own.index("durable: committing")
    assert "aborted, resolved by hand" in told(entries, "inventory")
    own.remove(decision)
    assert own == told(unfold(two_phase, "t", lines(*plain)), "orchestrator")


def test_an_operator_who_is_quicker_than_the_record_of_what_was_heard_stands_behind_it() -> None:
    """The coordinator was held between the votes and the record of its decision, and was ten seconds late."""
    asked, done = (ByHand("aborted", ("inventory",), "late", found) for found in ((), ("aborted",)))
    begun, *voted = lines(Begun(WHO, ("o",), 1, False), *votes())
    log = [begun, Seen(10.0, "orchestrator-2", asked), Seen(10.5, "inventory-1", done), *voted]
    entries = unfold(two_phase, "t", log)
    at = {entry.what: entry.at for entry in entries if entry.kind == "state"}
    assert (at["aborted, resolved by hand"], at["durable: committing"]) == (10.5, 10.5)
    assert told(entries, "inventory") == ["prepare", "votes yes", "votes yes", "aborted, resolved by hand"]
    own = [entry.what for entry in entries]
    assert own.index("aborted, resolved by hand") < own.index("durable: committing") < own.index("commit")
    assert [e.at for e in entries] == sorted(e.at for e in entries)
    assert "aborted, resolved by hand" in told(unfold(two_phase, "t", log[:3]), "inventory"), (
        "nothing forced yet"
    )
