"""What the command prints and which exit code an answer stands for."""

from typing import Any

import pytest
from typer.testing import CliRunner

from lab import doubt_view, orders
from lab.audit import view as audit_view
from lab.audit.promises import Finding
from lab.audit.run import Report
from lab.cli import app
from lab.diagram import ROLES, diagram, render
from lab.shop import Answer
from lab.state import Trouble


def entry(
    ms: float,
    role: str,
    kind: str,
    what: str,
    message: str = "",
    node: str = "",
    clock: dict[str, int] | None = None,
) -> dict[str, Any]:
    return {
        "at": f"2026-01-01T00:00:00.{int(ms * 1000):06d}Z",
        "node": node or f"{role}-1",
        "role": role,
        "kind": kind,
        "what": what,
        "message_id": message,
        "clock": clock or {},
    }


ENTRIES = [
    entry(0, "order", "sent", "order.start", "m1"),
    entry(2, "orchestrator", "received", "order.start", "m1"),
    entry(2, "orchestrator", "sent", "order.hold", "m2"),
    entry(4, "inventory", "received", "order.hold", "m2"),
    entry(5, "inventory", "sent", "order.hold done", "m3"),
    entry(7, "orchestrator", "received", "order.hold done", "m3"),
    entry(8, "orchestrator", "sent", "order.ship", "m4"),
    entry(9, "orchestrator", "recovery", "recovered epoch 7", node="orchestrator-2"),
]


def test_a_message_is_one_row_with_both_its_times() -> None:
    rows = diagram(ENTRIES)
    assert len(rows) == 5
    assert rows[0].time.split() == ["0.0", "→", "2.0"]
    assert rows[1].time.split() == ["2.0", "→", "4.0"]


A, C = {"orchestrator": 1}, {"orchestrator": 3}
RESENT = [
    entry(0, "orchestrator", "sent", "order.hold", "m", clock=A),
    entry(5, "orchestrator", "sent", "order.hold", "m", clock=C),
    entry(8, "inventory", "received", "order.hold", "m", clock=A | {"inventory": 1}),
    entry(9, "inventory", "late", "order.hold", "m", clock=C | {"inventory": 2}),
]


def test_a_message_that_was_sent_twice_comes_from_the_send_that_its_receiver_knows_of() -> None:
    times = [row.time.split() for row in diagram(RESENT)]
    assert times == [["0.0", "→", "8.0"], ["5.0", "→", "9.0"]]


def test_what_came_too_late_or_again_is_marked_and_explained() -> None:
    in_time, late = diagram(RESENT)
    assert in_time.picture.endswith("▶│")
    assert late.picture.endswith("○│")
    text = render({"order_id": "x", "status": "CONFIRMED", "entries": RESENT}, wide=False).plain
    assert "○: came too late" in text
    assert "order.hold: sent or read once more" in text


def test_only_what_is_in_the_picture_is_explained() -> None:
    text = render({"order_id": "x", "status": "CONFIRMED", "entries": ENTRIES}, wide=False).plain
    assert "↻: a new owner goes on" in text
    assert "○" not in text and "timed-out" not in text


def test_arrows_point_from_the_sender_to_the_receiver() -> None:
    there, back = diagram(ENTRIES)[1:3]
    assert "├─order.hold─" in there.picture
    assert there.picture.endswith("▶│")
    assert "│◀─" in back.picture
    assert back.picture.endswith("─order.hold done─┤")


def test_a_message_that_was_not_seen_to_arrive_is_told_by_its_sender() -> None:
    assert "sends order.ship" in diagram(ENTRIES)[3].picture


def test_a_recovery_names_the_one_who_took_over() -> None:
    assert "↻ recovered epoch 7 (orchestrator-2)" in diagram(ENTRIES)[4].picture


def test_the_picture_is_headed_by_the_roles_and_explains_its_clock() -> None:
    text = render({"order_id": "x", "status": "CONFIRMED", "entries": ENTRIES}, wide=True).plain
    assert all(role in text.splitlines()[1] for role in ROLES)
    assert "clock: how many events" in text


def test_of_an_order_without_a_journal_it_is_told_why() -> None:
    trace = {"order_id": "x", "status": "CONFIRMED", "entries": []}
    assert "There is no journal." in render(trace, wide=True).plain
    assert "forgotten" in render(trace | {"note": "it is forgotten"}, wide=True).plain


@pytest.mark.parametrize(
    ("code", "body", "exit_code"),
    [
        (201, {"status": "CONFIRMED"}, 0),
        (409, {"type": "/problems/out-of-stock", "order_id": "x"}, 3),
        (409, {"type": "/problems/request-in-progress"}, 4),
        (202, {"status": "PENDING"}, 4),
    ],
)
def test_an_answer_stands_for_an_exit_code(code: int, body: dict[str, Any], exit_code: int) -> None:
    assert orders.outcome(Answer(code, body)) == exit_code


@pytest.mark.parametrize("code", [400, 404, 422, 429, 500, 503])
def test_an_answer_about_the_request_is_a_trouble(code: int) -> None:
    with pytest.raises(Trouble, match=str(code)):
        orders.outcome(Answer(code, {"type": "/problems/x", "detail": "y"}))


@pytest.mark.parametrize("word", ["", "sku", "sku=", "=2", "sku=x", "sku=-1", "a b=2", "sku=1.5"])
def test_an_item_that_is_not_sku_and_number_is_a_trouble(word: str) -> None:
    with pytest.raises(Trouble, match="SKU=N"):
        orders.items([word])


@pytest.mark.parametrize(
    "words",
    [
        ["order", "--customer", "a", "--item", "b=1"],
        ["trace", "x"],
        ["doubt"],
        ["retry", "x"],
        ["resolve", "x", "--outcome", "abort", "--reason", "y"],
        ["audit"],
        ["seed"],
        ["bench"],
    ],
)
def test_without_a_stack_every_command_exits_with_two(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEOFF_STATE", "/nowhere")
    assert CliRunner().invoke(app, words).exit_code == 2


def test_a_violation_is_headed_as_in_the_table_and_names_its_order_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    findings = [Finding("every-order-ends", "o-1", f"order o-1 {words}") for words in ("is late", "is odd")]
    audit_view.show(Report(findings, 1))
    told = capsys.readouterr().out
    assert told.count("6. every order ends") == 2
    assert "order o-1 is late; is odd\n" in told
    assert "Audit of 1 order " in told and "1 violation." in told


def test_what_is_not_the_shops_is_named_with_where_to_end_it(capsys: pytest.CaptureFixture[str]) -> None:
    stranger = {
        "participant": "inventory",
        "gid": "their[red]\x1b[2J",
        "prepared_s": 61.2,
        "tables": ["stock"],
    }
    told = {"transactions": [], "in_doubt": 0, "silent": [], "strangers": [stranger | {"blocks": [{}, {}]}]}
    doubt_view.show(told)
    shown = " ".join(capsys.readouterr().out.split())
    assert "their[red] [2J: at inventory, and not the shop's: prepared 61.2 s ago" in shown
    assert "locks rows of stock, blocks 2" in shown and "ROLLBACK PREPARED in the database" in shown
