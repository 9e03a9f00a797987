"""A journal tells what happened in an order in which it can have happened."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from textwrap import dedent

import msgspec
import pytest

from orchestrator.core.clocks import Entry
from orchestrator.core.journal import LogLine, unfold
from orchestrator.core.sagas import CANCEL, ORDER


def start(at: float = 1.0) -> LogLine:
    return LogLine(at, "orchestrator-1", "start", peer="order-1", peer_at=at - 0.1)


def answer(
    at: float, step: str, peer: str, peer_at: float, reason: str = "", note: str = "", node: str = "1"
) -> LogLine:
    return LogLine(
        at, f"orchestrator-{node}", "answered", step, not reason, reason, "", peer, peer_at, note
    )  # fmt: skip


REFUSED = [
    start(),
    answer(1.2, "order.hold", "inventory-2", 1.1, reason="out-of-stock"),
    answer(1.4, "order.charge", "payment-1", 1.15),
    LogLine(2.5, "orchestrator-1", "timed-out", "compensating/0/1"),
    LogLine(3.0, "orchestrator-2", "recovered", note="epoch 7"),
    answer(3.2, "order.refund", "payment-2", 3.1, note="o/order.refund/2", node="2"),
    answer(3.3, "order.refund", "payment-2", 3.1, note="o/order.refund/2", node="2"),
    answer(3.5, "order.reject", "order-2", 3.4, node="2"),
]

CONFIRMED = [
    start(),
    answer(1.2, "order.hold", "inventory-1", 1.1),
    answer(1.3, "order.charge", "payment-1", 1.1),
    answer(1.5, "order.ship", "inventory-1", 1.4),
    answer(1.6, "order.confirm", "order-1", 1.4),
]


def told(entries: Sequence[Entry]) -> str:
    return "\n".join(
        f"{e.at:<4} {e.node:<15} {e.kind:<8} {e.what:<31} {e.message_id}".rstrip() for e in entries
    )


def test_the_journal_of_an_order_that_was_out_of_stock() -> None:
    assert told(unfold(ORDER, "o", REFUSED)) == dedent(
        """\
        0.9  order-1         state    order accepted
        0.9  order-1         sent     order.start                     o/order.start/1
        1.0  orchestrator-1  received order.start                     o/order.start/1
        1.0  orchestrator-1  state    forward, stage 1 of 2
        1.0  orchestrator-1  sent     order.hold                      o/order.hold/1
        1.0  orchestrator-1  sent     order.charge                    o/order.charge/1
        1.1  inventory-2     received order.hold                      o/order.hold/1
        1.1  inventory-2     state    order.hold refused: out-of-stock
        1.1  inventory-2     sent     order.hold refused: out-of-stock o/order.hold/1/answer
        1.15 payment-1       received order.charge                    o/order.charge/1
        1.15 payment-1       state    order.charge done
        1.15 payment-1       sent     order.charge done               o/order.charge/1/answer
        1.2  orchestrator-1  received order.hold refused: out-of-stock o/order.hold/1/answer
        1.2  orchestrator-1  state    compensating: out-of-stock
        1.2  orchestrator-1  sent     order.refund                    o/order.refund/1
        1.4  orchestrator-1  late     order.charge done               o/order.charge/1/answer
        2.5  orchestrator-1  timer    timed-out
        2.5  orchestrator-1  sent     order.refund                    o/order.refund/2
        3.0  orchestrator-2  recovery recovered epoch 7
        3.0  orchestrator-2  sent     order.refund                    o/order.refund/2
        3.1  payment-2       received order.refund                    o/order.refund/2
        3.1  payment-2       state    order.refund done
        3.1  payment-2       sent     order.refund done               o/order.refund/2/answer
        3.2  orchestrator-2  received order.refund done               o/order.refund/2/answer
        3.2  orchestrator-2  state    closing: out-of-stock
        3.2  orchestrator-2  sent     order.reject                    o/order.reject/1
        3.3  orchestrator-2  late     order.refund done               o/order.refund/2/answer
        3.4  order-2         received order.reject                    o/order.reject/1
        3.4  order-2         state    order.reject done
        3.4  order-2         sent     order.reject done               o/order.reject/1/answer
        3.5  orchestrator-2  received order.reject done               o/order.reject/1/answer
        3.5  orchestrator-2  state    ended: compensated
        """
    ).rstrip("\n")


def test_the_clocks_of_a_small_exchange_by_hand() -> None:
    entries = unfold(ORDER, "o", CONFIRMED[:2])
    assert [(e.kind, e.what, e.clock) for e in entries] == [
        ("state", "order accepted", {"order": 1}),
        ("sent", "order.start", {"order": 2}),
        ("received", "order.start", {"order": 2, "orchestrator": 1}),
        ("state", "forward, stage 1 of 2", {"order": 2, "orchestrator": 2}),
        ("sent", "order.hold", {"order": 2, "orchestrator": 3}),
        ("sent", "order.charge", {"order": 2, "orchestrator": 4}),
        ("received", "order.hold", {"order": 2, "orchestrator": 3, "inventory": 1}),
        ("state", "order.hold done", {"order": 2, "orchestrator": 3, "inventory": 2}),
        ("sent", "order.hold done", {"order": 2, "orchestrator": 3, "inventory": 3}),
        ("received", "order.hold done", {"order": 2, "orchestrator": 5, "inventory": 3}),
    ]


def find(entries: Sequence[Entry], kind: str, what: str) -> Entry:
    return next(e for e in entries if (e.kind, e.what) == (kind, what))


def before(a: Entry, b: Entry) -> bool:
    return a is not b and all(n <= b.clock.get(role, 0) for role, n in a.clock.items())


def test_what_runs_in_parallel_is_concurrent() -> None:
    entries = unfold(ORDER, "o", CONFIRMED)
    held, charged = find(entries, "state", "order.hold done"), find(entries, "state", "order.charge done")
    assert not before(held, charged)
    assert not before(charged, held)
    assert before(held, find(entries, "state", "order.ship done"))
    assert before(charged, find(entries, "state", "order.ship done"))


def test_an_answer_belongs_to_the_latest_ask_that_is_not_after_it_unless_it_names_one() -> None:
    retries = [
        start(),
        LogLine(3.0, "orchestrator-1", "timed-out"),
        LogLine(5.0, "orchestrator-1", "timed-out"),
    ]
    for peer_at, note, ask in [
        (2.0, "", "o/order.hold/1"),
        (4.0, "", "o/order.hold/2"),
        (4.0, "o/order.hold/1", "o/order.hold/1"),
        (9.0, "o/order.hold/2", "o/order.hold/2"),
        (0.5, "", "o/order.hold/3"),  # its clock is wrong: all we know is that it came before its receipt
    ]:
        lines = [*retries, answer(9.5, "order.hold", "inventory-1", peer_at, note=note)]
        received = find(unfold(ORDER, "o", lines), "received", "order.hold")
        assert received.message_id == ask


def test_an_answer_that_comes_twice_was_sent_once_and_is_late_the_second_time() -> None:
    entries = unfold(ORDER, "o", [*CONFIRMED[:2], replace(CONFIRMED[1], at=1.25)])
    assert [e.kind for e in entries if e.message_id == "o/order.hold/1/answer"] == [
        "sent",
        "received",
        "late",
    ]


def test_a_participant_that_is_asked_twice_answers_twice_but_decides_once() -> None:
    lines = [
        start(),
        LogLine(3.0, "orchestrator-1", "timed-out"),
        answer(3.2, "order.hold", "inventory-1", 2.9),
        answer(3.3, "order.hold", "inventory-2", 3.1),
    ]
    entries = [e for e in unfold(ORDER, "o", lines) if e.role == "inventory"]
    assert [(e.kind, e.node, e.message_id) for e in entries] == [
        ("received", "inventory-1", "o/order.hold/1"),
        ("state", "inventory-1", ""),
        ("sent", "inventory-1", "o/order.hold/1/answer"),
        ("received", "inventory-2", "o/order.hold/2"),
        ("sent", "inventory-2", "o/order.hold/2/answer"),
    ]


def test_a_refusal_of_what_must_happen_is_received_and_asked_again() -> None:
    lines = [*CONFIRMED[:3], answer(1.5, "order.ship", "inventory-1", 1.4, reason="not-now")]
    last = unfold(ORDER, "o", lines)[-1]
    assert (last.kind, last.what) == ("received", "order.ship refused: not-now")


@pytest.mark.parametrize("event", ["expired", "retry-now", "timed-out", "start"])
def test_what_comes_after_the_end_is_late(event: str) -> None:
    line = msgspec.convert({"at": 9.0, "node": "orchestrator-1", "event": event}, LogLine)
    entries = unfold(ORDER, "o", [*CONFIRMED, line])
    assert entries[-1].kind == "late"


def test_an_answer_to_what_was_never_asked_is_late_and_comes_from_nowhere() -> None:
    entries = unfold(ORDER, "o", [start(), answer(2.0, "order.release", "inventory-1", 1.9)])
    assert (entries[-1].kind, entries[-1].message_id) == ("late", "")
    assert all(e.role != "inventory" for e in entries)


def test_the_clocks_of_a_cancellation_go_on_where_the_order_ended() -> None:
    first = unfold(ORDER, "o", CONFIRMED)
    lines = [
        start(8.0),
        answer(8.2, "cancel.refund", "payment-1", 8.1),
        answer(8.3, "cancel.restock", "inventory-1", 8.1),
        answer(8.5, "cancel.close", "order-1", 8.4),
    ]
    second = unfold(CANCEL, "o", lines, earlier=first)
    assert second[-1].what == "ended: completed"
    assert all(before(first[-1], e) for e in second if e.role == "orchestrator")
    assert before(find(first, "state", "order.charge done"), find(second, "state", "cancel.refund done"))


def test_a_log_that_has_lost_its_beginning_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="begins with its start"):
        unfold(ORDER, "o", REFUSED[1:])


def test_a_log_survives_being_stored_as_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(REFUSED), type=list[LogLine]) == REFUSED


def test_at_each_role_the_journal_is_in_the_order_of_its_clock() -> None:
    for lines in (REFUSED, CONFIRMED):
        entries = unfold(ORDER, "o", lines)
        for role in {e.role for e in entries}:
            ticks = [e.clock[role] for e in entries if e.role == role]
            assert all(b == a + 1 for a, b in pairwise(ticks))
