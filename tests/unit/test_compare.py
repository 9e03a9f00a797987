"""The comparison without a stack: what is measured in which order, what is kept, and what the page says."""

import itertools
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import kept
from lab.compare import report as reports
from lab.compare import view
from lab.compare.chart import number
from lab.compare.plan import ABSENCES, DEATHS, HARDSHIPS, Cell, loss, plan, troubles
from lab.compare.report import Spread
from lab.crash.rows import every, points
from lab.state import Trouble
from lab.workload import PROTOCOLS
from services.contract.commit import PARTICIPANTS
from tests.unit.compared import STACK, filled, measured


@pytest.mark.parametrize("short", [True, False])
def test_the_protocols_take_turns_at_everything(short: bool) -> None:
    cells = plan(3, short=short, faults=True)
    assert len(set(cells)) == len(cells)
    for at in range(0, len(cells), len(PROTOCOLS)):
        turn = cells[at : at + len(PROTOCOLS)]
        begins = turn[0].round - 1
        assert [cell.protocol for cell in turn] == [*PROTOCOLS[begins:], *PROTOCOLS[:begins]]
        first = msgspec.structs.replace(turn[0], protocol="")
        assert all(msgspec.structs.replace(cell, protocol="") == first for cell in turn)
    kinds = {cell.kind for cell in cells}
    more = {DEATHS[0]} if short else {"acknowledged", *DEATHS, *ABSENCES, *HARDSHIPS}
    assert kinds == {"peak", "rate", "readers", *more}


def test_a_stack_that_takes_no_faults_is_spared_them() -> None:
    kinds = {cell.kind for cell in plan(1, short=False, faults=False)}
    assert not kinds & {*HARDSHIPS, *DEATHS, *ABSENCES}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", DEATHS)
def test_who_dies_is_a_row_of_the_table_of_crashes(protocol: str, kind: Any) -> None:
    assert loss(Cell(kind, protocol)) in list(every())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_hardship_is_for_each_protocol_what_hurts_it(protocol: str) -> None:
    assert not troubles(Cell("armed", protocol), 7), "what the others are compared with"
    [(role, [slow])] = troubles(Cell("slow", protocol), 7).items()
    assert (role, slow["what"], slow["seconds"], slow["times"]) == ("payment", "slow", 0.2, None)
    assert str(slow["at"]) in points(protocol)
    [(role, lossy)] = troubles(Cell("lossy", protocol), 7).items()
    assert role == "orchestrator"
    assert {(fault["share"], fault["times"], fault["seed"]) for fault in lossy} == {(0.02, None, 7)}
    to = {None} if protocol == "saga" else {*PARTICIPANTS}
    kinds = ("drop-message", "duplicate-message") if protocol == "saga" else ("drop-request", "duplicate")
    told = [(fault["what"], fault.get("to")) for fault in lossy]
    assert sorted(told, key=str) == sorted(itertools.product(kinds, to), key=str)


def test_what_is_measured_is_not_measured_again_but_what_went_wrong_is() -> None:
    cells = plan(1, short=True, faults=True)
    report = reports.begun("", 1, {})
    for cell in cells[:3]:
        reports.keep(report, measured(cell))
    report.measured[1].wrong = ["2 orders did not finish"]
    assert reports.left(report, cells) == [cells[1], *cells[3:]]
    reports.keep(report, measured(cells[1]))
    assert reports.left(report, cells) == cells[3:]
    assert len(report.measured) == 3


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    report, path = filled(), tmp_path / "deep" / "result.json"
    kept.write(report, path)
    assert reports.read(path) == report
    assert [file.name for file in path.parent.iterdir()] == ["result.json"]


def test_protocols_are_compared_within_their_round() -> None:
    """The second round was on a machine half as fast; the ratio is the same."""
    report = reports.begun("", 1, {})
    for number_, speed in enumerate((1.0, 0.5), 1):
        for protocol, rate in (("2pc", 200.0), ("saga", 1000.0)):
            one = measured(Cell("peak", protocol, round=number_))
            one.finished_per_s = rate * speed
            reports.keep(report, one)
    assert reports.paired(report)["uniform"] == {"saga": [5, 5], "2pc": [1, 1], "2pc-group": [], "3pc": []}


@pytest.mark.parametrize(
    ("text", "why"),
    [(None, "There is no"), ("{", "not a comparison"), ('{"schema": "1"}', "not a comparison")],
)
def test_what_is_no_result_is_told_from_one(tmp_path: Path, text: str | None, why: str) -> None:
    path = tmp_path / "result.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Trouble, match=why):
        reports.read(path)


def test_a_result_of_another_schema_is_not_compared(tmp_path: Path) -> None:
    report, path = filled(), tmp_path / "result.json"
    report.schema += 1
    kept.write(report, path)
    with pytest.raises(Trouble, match="schema"):
        reports.read(path)


def test_the_middle_of_the_rounds_is_one_that_was_measured() -> None:
    assert reports.spread([4.0, 1.0]) == Spread(1.0, 1.0, 4.0)
    assert reports.spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert reports.spread([]) is None


def test_the_terminal_shows_each_figure_under_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    report = filled(1)
    view.show(report, "somewhere")
    said = capsys.readouterr().out
    for protocol in PROTOCOLS:
        peaks = [reports.peak(report, protocol, goods) for goods in ("uniform", "zipf", "hot")]
        [at_70] = reports.of(report, "rate", protocol, level=0.7)
        [died] = reports.of(report, "coordinator-dies", protocol)
        wanted = [
            protocol,
            *(number(one.median) for one in peaks if one),
            f"{number(at_70.latency_ms['p50'])} / {number(at_70.latency_ms['p99'])}",
            f"{died.in_doubt_s:.1f} / {died.recovery_s:.1f}",
        ]
        [line] = [line for line in said.splitlines() if line.split()[:1] == [protocol]]
        assert re.split(r" {2,}", line.strip()) == wanted
    assert "audit: no violation" in said
    report.audit_violations = None
    view.show(report, "somewhere")
    assert "not audited" in capsys.readouterr().out


def test_against_another_one_is_said_what_changed_and_what_is_not_alike(
    capsys: pytest.CaptureFixture[str],
) -> None:
    old, new = filled(), filled()
    old.machine = "another one"
    for one in new.measured:
        one.finished_per_s *= 2
        one.cpu_us = {"all": one.cpu_us["all"] * 3}
    view.show_against(new, old)
    said = capsys.readouterr().out
    for protocol in PROTOCOLS:
        assert re.search(rf"{protocol}, uniform: finished a second .* 2\.00", said)
        assert re.search(rf"{protocol}, microseconds of CPU an order .* 3\.00", said)
        assert re.search(rf"{protocol}, p99 ms .* 1\.00", said)
    assert "Not alike" in said
    view.show_against(new, new)
    assert "Not alike" not in capsys.readouterr().out


def test_the_schema_beside_the_result_says_what_each_figure_is() -> None:
    told = msgspec.json.schema(reports.Report)["$defs"]
    for part in ("Report", "Measured"):
        for name, field in told[part]["properties"].items():
            assert len(field["description"]) > 4, name


def test_what_nobody_audited_is_measured_again() -> None:
    """The stack was one of the command's own, and was killed with it."""
    cells = plan(1, short=True, faults=True)
    report = reports.begun("", 1, {}, len(cells))
    for at, (cell, where) in enumerate(zip(cells, ["killed", "audited", "this"], strict=False)):
        reports.keep(report, msgspec.structs.replace(measured(cell, at), stack=where))
        if where == "audited":
            reports.audited(report, where, 2)
    assert report.audit_violations is None
    reports.forget_all_but(report, "this")
    assert reports.left(report, cells) == [cells[0], *cells[3:]]
    reports.audited(report, "this", 1)
    assert report.audit_violations == 3
    reports.keep(report, measured(cells[0]))
    assert report.audit_violations is None, "not of this one"


def test_a_result_is_complete_when_all_of_it_is_measured_well_and_audited() -> None:
    report = filled(1)
    assert reports.is_complete(report)
    report.measured[0].wrong = ["1 orders did not finish"]
    assert not reports.is_complete(report)
    report = filled(1)
    report.audit_violations = None
    assert not reports.is_complete(report)
    assert not reports.is_complete(reports.begun("", 1, {}, 3))


@pytest.mark.parametrize("table", ["latency_ms", "cpu_us", "rss_mib", "held_ms", "cost"])
def test_a_result_that_lacks_a_figure_is_no_result(tmp_path: Path, table: str) -> None:
    report, path = filled(1), tmp_path / "result.json"
    one = next(one for one in report.measured if one.cell.kind == "peak")
    found = getattr(one, table)
    found = next(iter(found.values())) if table in ("held_ms", "cost") else found
    found["else"] = found.pop(next(reversed(found)))
    kept.write(report, path)
    with pytest.raises(Trouble, match="is not a comparison"):
        reports.read(path)


def test_a_result_says_of_the_audit_what_its_stacks_say(tmp_path: Path) -> None:
    """Whatever else is written there."""
    report, path = filled(1), tmp_path / "result.json"
    for audits, violations in (({}, None), ({"another": 0}, None), ({STACK: 5}, 5)):
        report.audits, report.audit_violations = audits, 0
        kept.write(report, path)
        assert reports.read(path).audit_violations == violations
    kept.write(reports.begun("", 1, {}), path)
    assert reports.read(path).audit_violations is None and not reports.is_complete(reports.read(path))


def test_less_than_nothing_is_no_result(tmp_path: Path) -> None:
    report, path = filled(1), tmp_path / "result.json"
    report.measured[-1].latency_ms["p50"] = -1.0
    kept.write(report, path)
    with pytest.raises(Trouble, match="less than nothing"):
        reports.read(path)


def test_nobody_elses_words_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    report = filled(1)
    report.began, report.machine = "\x1b[2J[red]now[/]\x00", "\x1b]0;mine\x07"
    view.show_against(filled(1), report)
    said = capsys.readouterr().out
    assert "since [2J[red]now[/]" in said and not {"\x1b", "\x00", "\x07"} & {*said}


def test_a_folder_stands_for_the_result_in_it(tmp_path: Path) -> None:
    kept.write(filled(1), tmp_path / "result.json")
    assert reports.read(tmp_path) == filled(1)
    (tmp_path / "result.json").unlink()
    (tmp_path / "result.json").mkdir()
    with pytest.raises(Trouble, match="cannot be read"):
        reports.read(tmp_path)
