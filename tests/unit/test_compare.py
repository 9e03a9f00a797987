"""The comparison without a stack: what is measured in which order, what is kept, and what the page says."""

import re
from html import escape, unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from lab import kept
from lab.compare import report as reports
from lab.compare import view
from lab.compare.chart import Bar, Group, bars, number
from lab.compare.curves import Axis, Curve, curves
from lab.compare.page import page, pictures
from lab.compare.plan import ABSENCES, DEATHS, HARDSHIPS, SKEW, Cell, loss, plan, troubles
from lab.compare.report import Spread
from lab.crash.rows import every
from lab.state import Trouble
from lab.workload import PROTOCOLS
from tests.unit.compared import filled, measured

WORDS = {
    "50",
    "95",
    "99",
    "70%",
    "30%",
    "90%",
    "0.99",
    "1,000",
    "200",
    "2",
    "40",
    "4",
    "1",
    "1,024",
    "256",
    "8",
    "60",
}
"""Numbers of the page that are its words: shares, levels, what was done to whom."""


@pytest.mark.parametrize("short", [True, False])
def test_the_protocols_take_turns_at_everything(short: bool) -> None:
    cells = plan(3, short=short, faults=True)
    assert len(set(cells)) == len(cells)
    for at in range(0, len(cells), len(PROTOCOLS)):
        turn = cells[at : at + len(PROTOCOLS)]
        assert [cell.protocol for cell in turn] == list(PROTOCOLS)
        first = msgspec.structs.replace(turn[0], protocol="")
        assert all(msgspec.structs.replace(cell, protocol="") == first for cell in turn)
    kinds = {cell.kind for cell in cells}
    losses = {DEATHS[0], *ABSENCES} if short else {*DEATHS, *ABSENCES, *HARDSHIPS}
    assert kinds == {"peak", "rate", "acknowledged", "readers", *losses}


def test_a_stack_that_takes_no_faults_is_spared_them() -> None:
    kinds = {cell.kind for cell in plan(1, short=False, faults=False)}
    assert not kinds & {*HARDSHIPS, *DEATHS, *ABSENCES}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", DEATHS)
def test_who_dies_is_a_row_of_the_table_of_crashes(protocol: str, kind: Any) -> None:
    assert loss(Cell(kind, protocol)) in list(every())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_hardship_is_for_each_protocol_what_hurts_it(protocol: str) -> None:
    for kind in HARDSHIPS:
        assert troubles(Cell(kind, protocol))
        assert all(
            fault["times"] is None for some in troubles(Cell(kind, protocol)).values() for fault in some
        )


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


def test_every_number_of_the_page_is_in_the_result() -> None:
    report = filled()
    known = WORDS | {number(value) for value in numbers(msgspec.to_builtins(report))}
    known |= set(NUMBER.findall(" ".join(strings(msgspec.to_builtins(report)))))
    scales = r'<text class="tick[^>]*>[^<]*</text>'
    text = unescape(re.sub(rf"<style>.*?</style>|{scales}|<[^>]+>", " ", page(report), flags=re.DOTALL))
    shown = NUMBER.findall(text)
    assert len(shown) > 300
    assert {one for one in shown if one not in known} == set()


def test_the_page_names_each_figure_rightly() -> None:
    """The first picture: of each kind of goods the four protocols, each with its own peak."""
    report = filled(rounds=1)
    first = page(report).partition("<figure>")[2].partition("</figure>")[0]
    shown = re.findall(r'class="name">([^<]+)</text>.*?class="value">([^<]+)</text>', first)
    wanted = [
        (protocol, number(peak.median))
        for goods in SKEW
        for protocol in PROTOCOLS
        if (peak := reports.peak(report, protocol, goods))
    ]
    assert shown == wanted
    assert len({value for _, value in wanted}) == len(wanted)


def test_what_went_wrong_counts_nowhere_and_is_said() -> None:
    report = filled(rounds=1)
    one = next(one for one in report.measured if one.cell.kind == "peak")
    one.wrong = ["7 orders did not finish"]
    assert reports.peak(report, one.cell.protocol, one.cell.goods) is None
    assert "7 orders did not finish" in page(report)


def test_the_page_leaves_out_nothing_that_was_measured() -> None:
    report = filled()
    text = page(report)
    for one in report.measured:
        assert f"<td>{escape(str(one.cell))}</td>" in text
    assert "not measured" not in text
    assert "The audit afterwards found no violation." in text


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    text = page(filled())
    assert not re.search(r"<script|<link|<img|https?://|url\(|@import", text)


def test_a_page_of_what_is_not_finished_says_so() -> None:
    text = page(reports.begun("tradeoff compare", 1, {}))
    assert "not finished" in text
    assert "not measured" in text


def test_what_was_lost_is_in_the_first_lines_of_the_page() -> None:
    report = filled()
    report.audit_violations = 2
    report.measured[0].wrong = ["1 orders did not finish"]
    assert "2 violations; 1 runs went wrong" in page(report)


def test_two_pictures_are_files_of_their_own() -> None:
    drawn = pictures(filled())
    assert set(drawn) == {"peaks.svg", "latency.svg"}
    for picture in drawn.values():
        svg = ElementTree.fromstring(picture)
        assert svg.tag == "{http://www.w3.org/2000/svg}svg"
        assert "prefers-color-scheme: dark" in str(svg[0].text)
        assert [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")].count("2pc-group") >= 1


def test_a_curve_goes_through_its_points_between_round_numbers() -> None:
    drawn = curves("", Axis("across", logarithmic=True), Axis("up"), [Curve("saga", [(10, 0), (1000, 45)])])
    (x1, y1), (x2, y2) = re.findall(r'<circle class="s0" cx="([\d.]+)" cy="([\d.]+)"', drawn)
    ticks = re.findall(r'<text class="tick [a-z]+" x="[\d.]+" y="[\d.]+">([^<]+)', drawn)
    assert ticks == ["0", "10", "20", "30", "40", "50", "10", "20", "50", "100", "200", "500", "1,000"]
    zero, fifty = (float(re.findall(rf'y="([\d.]+)">{tick}</text>', drawn)[0]) for tick in ("0", "50"))
    assert float(y1) == zero
    assert float(y2) == pytest.approx(zero + 0.9 * (fifty - zero), abs=0.1)
    assert float(x1) < float(x2)


def test_nothing_is_drawn_of_nothing() -> None:
    assert curves("", Axis(""), Axis(""), [Curve("saga", [])]) == ""


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
    told = msgspec.json.schema(reports.Report)["$defs"]["Measured"]["properties"]
    for name in ("latency_ms", "cpu_us", "cost", "in_doubt_s", "torn", "wrong"):
        assert len(told[name]["description"]) > 20


def test_bars_start_at_one_zero_and_show_the_spread() -> None:
    two = [Bar("2pc", Spread(50, 40, 100)), Bar("3pc", Spread(25, 25, 25)), Bar("saga", None)]
    drawn = bars("<speed>", [Group("", two)])
    first, second = (float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', drawn))
    assert first == pytest.approx(2 * second)
    assert drawn.count('class="spread"') == 1
    assert "not measured" in drawn
    assert "&lt;speed&gt;" in drawn


NUMBER = re.compile(r"(?<![\w.-])\d+(?:,\d{3})*(?:\.\d+)?%?(?!\w)")


def numbers(tree: Any) -> list[float]:
    if isinstance(tree, dict):
        return [found for value in tree.values() for found in numbers(value)]
    if isinstance(tree, list):
        return [found for value in tree for found in numbers(value)]
    return [tree] if isinstance(tree, int | float) else []


def strings(tree: Any) -> list[str]:
    if isinstance(tree, dict):
        return [found for value in tree.values() for found in strings(value)]
    if isinstance(tree, list):
        return [found for value in tree for found in strings(value)]
    return [tree] if isinstance(tree, str) else []
