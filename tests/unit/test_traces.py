"""What a comparison reads in journals: an order's messages, and how long it held goods and money."""

from typing import Any

from lab.compare.traces import held_ms, messages
from lab.stats import SHARES


def entry(at_ms: int, role: str, kind: str, what: str) -> dict[str, Any]:
    return {"at": f"2026-11-28T10:00:00.{at_ms:03d}000Z", "role": role, "kind": kind, "what": what}


SAGA = [
    entry(0, "order", "state", "order accepted"),
    entry(0, "order", "sent", "order.start"),
    entry(1, "orchestrator", "received", "order.start"),
    entry(1, "orchestrator", "sent", "order.hold"),
    entry(1, "orchestrator", "sent", "order.charge"),
    entry(10, "inventory", "state", "order.hold done"),
    entry(10, "inventory", "sent", "order.hold done"),
    entry(12, "payment", "state", "order.charge done"),
    entry(40, "inventory", "state", "order.ship done"),
    entry(52, "order", "state", "order.confirm done"),
]
GROUP = [
    entry(0, "orchestrator", "received", "begin, 4 orders"),
    entry(0, "orchestrator", "sent", "prepare"),
    entry(5, "inventory", "state", "votes yes"),
    entry(6, "inventory", "sent", "votes yes"),
    entry(20, "inventory", "state", "votes yes"),
    entry(22, "payment", "state", "votes yes"),
    entry(60, "payment", "state", "committed"),
    entry(70, "inventory", "state", "committed"),
]
"""Its first round was rolled back: a vote that lost a race."""


def test_a_saga_holds_goods_until_they_are_sold_and_money_until_it_cannot_go_back() -> None:
    assert held_ms([SAGA, SAGA], "saga") == {
        what: dict.fromkeys(SHARES, ms) for what, ms in (("stock", 30.0), ("money", 40.0))
    }


def test_a_commit_holds_from_the_last_vote_to_its_own_commit() -> None:
    assert held_ms([GROUP], "2pc-group")["stock"]["p50"] == 50.0
    assert held_ms([GROUP], "2pc-group")["money"]["p50"] == 38.0


def test_what_is_not_over_has_held_nothing_yet() -> None:
    assert held_ms([SAGA[:-2]], "saga") == {}
    assert list(held_ms([GROUP[:-1]], "2pc")) == ["money"]


def test_messages_are_counted_by_who_sends_them() -> None:
    assert messages([SAGA, SAGA]) == {"order": 1, "orchestrator": 2, "inventory": 1, "all": 4}


def test_orders_in_one_transaction_share_its_messages() -> None:
    """But for the one that asks for it, which each has of its own."""
    assert messages([GROUP]) == {"order": 1, "orchestrator": 0.25, "inventory": 0.25, "all": 1.5}


def test_of_no_journals_there_is_nothing_to_tell() -> None:
    assert messages([]) == {}
    assert held_ms([], "3pc") == {}
