"""The page of a comparison: each figure where it says that it is, and none that was not measured."""

import re
from html import escape, unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab.compare import report as reports
from lab.compare.chart import number
from lab.compare.commands import files
from lab.compare.page import page
from lab.compare.plan import LOST
from lab.workload import PROTOCOLS
from tests.unit.compared import filled

RECORDED = Path(__file__).resolve().parents[2] / "docs/comparison"
WORDS = {
    f"{LOST:.0%}",
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


def test_every_number_of_the_page_is_in_the_result() -> None:
    report = filled()
    known = WORDS | {number(value) for value in numbers(msgspec.to_builtins(report))}
    known |= set(NUMBER.findall(" ".join(strings(msgspec.to_builtins(report)))))
    scales = r'<text class="tick[^>]*>[^<]*</text>'
    text = unescape(re.sub(rf"<style>.*?</style>|{scales}|<[^>]+>", " ", page(report), flags=re.DOTALL))
    shown = NUMBER.findall(text)
    assert len(shown) > 300
    assert {one for one in shown if one not in known} == set()


def test_where_orders_piled_up_is_named() -> None:
    report = filled(rounds=1)
    assert "longer and longer" not in page(report)
    one = next(one for one in report.measured if one.cell.kind == "rate")
    one.drift = 2.6
    words = f"{one.cell} (in the end 2.6 times as long as in the beginning)"
    assert f"says how long the run was, too: {words}." in page(report)


@pytest.mark.parametrize(("rounds", "words"), [(1, "One round:"), (2, "2 rounds"), (3, "3 rounds")])
def test_the_page_says_of_how_many_rounds_it_is(rounds: int, words: str) -> None:
    assert words in page(filled(rounds))


def test_the_recorded_page_is_that_of_its_result() -> None:
    """The one that the README shows, with its pictures and its schema."""
    report = reports.read(RECORDED / "result.json")
    for name, text in files(report).items():
        assert (RECORDED / name).read_text(encoding="utf-8") == text, name
    assert {file.name for file in RECORDED.iterdir()} == {"result.json", *files(report)}


def test_the_readme_says_what_was_recorded() -> None:
    """Its table of figures."""
    readme = (RECORDED.parents[1] / "README.md").read_text(encoding="utf-8")
    lines = readme.partition("| on that page |")[2].partition("\n\n")[0].splitlines()
    report = reports.read(RECORDED / "result.json")
    for protocol in PROTOCOLS:
        [line] = [line for line in lines if line.startswith(f"| `{protocol}` |")]
        died = reports.of(report, "coordinator-dies", protocol)[-1]
        figures = [
            reports.peak(report, protocol),
            reports.peak(report, protocol, "hot"),
            reports.of_an_order(report, protocol, "fsyncs"),
        ]
        p99 = reports.latency(report, protocol, 0.7, "p99")
        assert p99
        wanted = [*(one.median for one in figures if one), *p99, died.in_doubt_s, died.recovery_s]
        assert NUMBER.findall(line.replace(f"`{protocol}`", "")) == [number(one) for one in wanted]


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
    assert "not finished: nothing yet, no audit yet" in text
    report = filled(1)
    report.planned += 1
    report.measured[0].wrong = ["7 orders did not finish"]
    assert f"not finished: {report.planned - 1} of {report.planned} runs, 0 violations" in page(report)
    assert "7 orders did not finish" in page(report)
    assert "not measured" in text


def test_what_was_lost_is_in_the_first_lines_of_the_page() -> None:
    report = filled()
    report.audit_violations = 2
    report.measured[0].wrong = ["1 orders did not finish"]
    assert "2 violations; 1 runs went wrong" in page(report)


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
