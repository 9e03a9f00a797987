"""A comparison goes from cell to cell, and what it says of the audit is of what was audited."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from lab import kept, prepare
from lab.audit.run import Report as Audit
from lab.compare import commands, run
from lab.compare import report as reports
from lab.compare.plan import Cell, plan
from lab.compare.report import Measured, Report
from lab.state import Stack, Trouble
from tests.unit.compared import measured

CELLS = plan(1, short=True, faults=True)[:3]


class Shop:
    """What `fill` does to a stack, and finds there."""

    def __init__(self, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.where, self.violations = where, 0
        self.done: list[str] = []
        self.left_behind: list[str] = []
        self.measure: Callable[[Cell], Measured] = measured
        for name, what in {
            "_measure": lambda _, cell, *__: self._measure(cell),
            "_at_rest": self._at_rest,
            "_identity": self._identity,
            "audit_stack": self._audit,
        }.items():
            monkeypatch.setattr(run, name, what)
        monkeypatch.setattr(prepare, "seed_missing", lambda _: None)

    def fill(self, report: Report, folder: Path) -> None:
        run.fill(report, CELLS, folder, lambda *_: None, Mock(Stack), lambda _: None)

    def _measure(self, cell: Cell) -> Measured:
        self.done.append(str(cell))
        return self.measure(cell)

    async def _at_rest(self, _: Stack) -> list[str]:
        self.done.append("at rest")
        return self.left_behind

    async def _identity(self, _: Stack) -> str:
        return self.where

    async def _audit(self, *_: Any) -> Audit:
        self.done.append("audit")
        return Mock(Audit, violations=self.violations)


@pytest.fixture
def report() -> Report:
    return reports.begun("tradeoff compare", 1, {}, len(CELLS))


def test_each_cell_begins_when_nothing_is_under_way_and_the_last_is_followed_by_an_audit(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop("here", monkeypatch)
    shop.fill(report, tmp_path)
    assert shop.done == ["at rest", *(step for cell in CELLS for step in (str(cell), "at rest")), "audit"]
    assert (report.audits, report.audit_violations) == ({"here": 0}, 0)
    assert reports.read(tmp_path / reports.RESULT) == report
    assert {one.stack for one in report.measured} == {"here"}


def test_what_is_interrupted_is_audited_as_far_as_it_came(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(cell: Cell) -> Measured:
        if cell == CELLS[1]:
            raise KeyboardInterrupt
        return measured(cell)

    shop = Shop("first", monkeypatch)
    shop.violations, shop.measure = 3, interrupted
    with pytest.raises(KeyboardInterrupt):
        shop.fill(report, tmp_path)
    assert reports.read(tmp_path / reports.RESULT).audits == {"first": 3}
    assert report.audit_violations == 3 and not reports.is_complete(report)

    again = Shop("second", monkeypatch)
    again.fill(report, tmp_path)
    assert [one for one in again.done if one not in ("at rest", "audit")] == [str(one) for one in CELLS[1:]]
    assert (report.audits, report.audit_violations) == ({"first": 3, "second": 0}, 3)


def test_what_was_killed_before_its_audit_is_measured_again(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = measured(CELLS[0])
    one.stack = "killed"
    reports.keep(report, one)
    shop = Shop("here", monkeypatch)
    shop.fill(report, tmp_path)
    assert str(CELLS[0]) in shop.done
    assert {one.stack for one in report.measured} == {"here"}


def test_an_audit_is_not_of_what_was_measured_later(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop("here", monkeypatch)
    shop.fill(report, tmp_path)
    report.measured.pop()
    shop.measure = Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr(run, "audit_stack", Mock(side_effect=Trouble("the stack is gone")))
    with pytest.raises(Trouble):
        shop.fill(report, tmp_path)
    assert report.audits == {"here": 0}, "of the two that are left"
    shop.measure = measured
    with pytest.raises(Trouble):
        shop.fill(report, tmp_path)
    assert (report.audits, report.audit_violations) == ({}, None)


def test_what_fails_is_on_record_and_the_others_have_their_turn(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(cell: Cell) -> Measured:
        if cell == CELLS[0]:
            raise Trouble("nothing came to the step")
        return measured(cell)

    shop = Shop("here", monkeypatch)
    shop.measure = failing
    shop.fill(report, tmp_path)
    assert [one.wrong for one in report.measured] == [["nothing came to the step"], [], []]
    assert report.audit_violations == 0


def test_what_does_not_end_is_what_went_wrong(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop("here", monkeypatch)
    shop.left_behind = ["7 orders were still under way"]
    with pytest.raises(Trouble, match="7 orders"):
        shop.fill(report, tmp_path)
    assert shop.done == ["at rest"], "it is not well to begin with"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"command": "tradeoff compare --rounds 9"}, "goes on only by the same"),
        ({"machine": "another"}, "begun on another"),
    ],
)
def test_only_the_same_goes_on(change: dict[str, str], why: str, tmp_path: Path) -> None:
    begun = reports.begun("tradeoff compare --rounds 3", 1, {}, 1)
    kept.write(begun, tmp_path / reports.RESULT)
    assert commands.begun(tmp_path / reports.RESULT, begun.command) == begun
    for name, value in change.items():
        setattr(begun, name, value)
    kept.write(begun, tmp_path / reports.RESULT)
    with pytest.raises(Trouble, match=why):
        commands.begun(tmp_path / reports.RESULT, "tradeoff compare --rounds 3")


def test_only_the_same_versions_go_on() -> None:
    begun = reports.begun("", 1, {"Tradeoff": "0123abc", "Redis": "7.0"}, 1)
    commands.must_be_with(begun, {"Tradeoff": "0123abc", "Redis": "7.0"})
    with pytest.raises(Trouble, match=r"begun with Tradeoff 0123abc, Redis 7.0; this is Tradeoff 0123abd"):
        commands.must_be_with(begun, {"Tradeoff": "0123abd", "Redis": "7.0"})


@pytest.mark.parametrize(
    ("violations", "wrong", "code"), [(0, [], 0), (1, [], 1), (0, ["lost"], 1), (None, [], 1)]
)
def test_the_exit_code_says_whether_all_was_well(violations: int | None, wrong: list[str], code: int) -> None:
    report = reports.begun("", 1, {}, 1)
    reports.keep(report, measured(CELLS[0]))
    report.audit_violations, report.measured[0].wrong = violations, wrong
    assert commands.exit_code(report) == code
