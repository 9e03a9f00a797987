"""Which rows the table of losses has, what is left of it, and what its page says."""

from pathlib import Path

import pytest

from lab import kept
from lab.crash import page, rows, table
from lab.crash.crash import Result
from lab.crash.rows import CHOSEN, MODES, PARTITION, SPLITTING, Row
from lab.state import Trouble
from lab.workload import PROTOCOLS
from services.chaos.points import NAMES


def result(row: Row, *wrong: str) -> Result:
    return Result(*row, "order-1", 1.25, 2.5, 160, 3, 1 if row.mode == PARTITION else 0, list(wrong), 11.0)


def test_every_point_is_in_the_table_but_those_that_need_a_lost_message() -> None:
    every = list(rows.every())
    assert len(set(every)) == len(every)
    assert {row.at for row in every} == {name for name in NAMES if not name.endswith("-bury")}
    assert {row.mode for row in every} == set(MODES)
    assert set(CHOSEN) <= set(every)
    assert {row.protocol for row in CHOSEN} == set(PROTOCOLS)


def test_rows_are_chosen_by_protocol_step_and_mode() -> None:
    found = rows.select(rows.every(), ["3pc"], ["payment@*-pre-commit", "order@before-work"], ["pause"])
    assert set(found) == {
        Row("3pc", "payment@before-pre-commit", "pause"),
        Row("3pc", "payment@after-pre-commit", "pause"),
        Row("3pc", "order@before-work", "pause"),
    }
    assert rows.select(CHOSEN, PROTOCOLS, [], MODES) == list(CHOSEN)


@pytest.mark.parametrize(
    ("protocols", "patterns", "modes", "told"),
    [
        (["4pc"], ["*"], MODES, "4pc is no protocol"),
        (PROTOCOLS, ["*"], ["explode"], "explode is no mode"),
        (PROTOCOLS, ["bank@*"], MODES, "No row"),
    ],
)
def test_what_cannot_be_chosen_is_said(
    protocols: list[str], patterns: list[str], modes: list[str], told: str
) -> None:
    with pytest.raises(Trouble, match=told):
        rows.select(rows.every(), protocols, patterns, modes)


def test_only_three_phase_commit_may_split_and_only_where_who_is_silent_lives() -> None:
    may = {(row.protocol, row.mode) for row in rows.every() if row.may_split}
    assert may == {("3pc", mode) for mode in (*rows.SERVERS, "pause", PARTITION)}


@pytest.mark.parametrize(
    ("at", "protocol", "found"),
    [
        ("payment@after-send:order.charge", None, "saga"),
        ("payment@before-commit", None, "2pc"),
        ("payment@before-pre-commit", None, "3pc"),
        ("payment@before-commit", "2pc-group", "2pc-group"),
    ],
)
def test_a_step_has_a_protocol(at: str, protocol: str | None, found: str) -> None:
    assert rows.row(at, protocol, "restart").protocol == found


@pytest.mark.parametrize(
    ("at", "protocol", "told"),
    [
        ("payment@before-comit", None, "There is no step"),
        ("pay", None, "Near it: payment@before-work"),
        ("payment@before-bury", None, "unless a message is lost"),
        ("payment@before-pre-commit", "2pc", "by 3pc it does"),
    ],
)
def test_a_step_that_is_none_is_said(at: str, protocol: str | None, told: str) -> None:
    with pytest.raises(Trouble, match=told):
        rows.row(at, protocol, "restart")


def test_the_network_parts_where_three_phase_commit_splits_and_nowhere_else() -> None:
    assert rows.row(SPLITTING, None, PARTITION) in CHOSEN
    with pytest.raises(Trouble, match="there it splits"):
        rows.row("payment@before-commit", None, PARTITION)


def test_what_was_done_is_not_done_again_but_what_failed_is(tmp_path: Path) -> None:
    first, second, third = CHOSEN[:3]
    begun = table.begun(tmp_path, "tradeoff chaos", resume=False)
    begun.rows += [result(first), result(second, "order x is paid twice")]
    kept.write(begun, tmp_path / table.RESULT)
    again = table.begun(tmp_path, "", resume=True)
    assert again == begun
    assert table.left(again, [first, second, third]) == [second, third]


@pytest.mark.parametrize("written", [None, b"{", b'{"rows": 1}'])
def test_what_is_no_table_cannot_be_gone_on_with(tmp_path: Path, written: bytes | None) -> None:
    if written is not None:
        (tmp_path / table.RESULT).write_bytes(written)
    with pytest.raises(Trouble):
        table.begun(tmp_path, "", resume=True)


def test_the_page_shows_every_row_and_how_to_repeat_what_failed() -> None:
    rows_ = [result(row) for row in CHOSEN[1:]] + [result(CHOSEN[0], "<b>lost</b>")]
    shown = page.page(table.Table("2026-01-01", "a machine", "tradeoff chaos --all", rows_))
    assert all(row.at in shown for row in CHOSEN)
    assert CHOSEN[0].command in shown and "&lt;b&gt;lost" in shown and "<b>" not in shown
    assert "1 split, found by the audit" in shown
    assert f"1 of {len(CHOSEN)} rows lost something" in shown
    assert "http" not in shown and "<script" not in shown
