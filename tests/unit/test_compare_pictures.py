"""The pictures of a comparison: bars, curves, and two that are files of their own."""

import re
from xml.etree import ElementTree

import pytest

from lab.compare import losses
from lab.compare import page as page_module
from lab.compare.chart import Bar, Group, bars
from lab.compare.curves import Axis, Curve, Point, curves
from lab.compare.page import page, pictures
from lab.compare.report import Spread
from lab.workload import PROTOCOLS
from tests.unit.compared import filled


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


def test_nothing_at_all_can_be_drawn_on_a_logarithmic_axis() -> None:
    curves("", Axis("across", logarithmic=True), Axis("up", logarithmic=True), [Curve("saga", [(0, 0)])])


def test_nothing_is_drawn_of_nothing() -> None:
    assert curves("", Axis(""), Axis(""), [Curve("saga", [])]) == ""


def test_bars_start_at_one_zero_and_show_the_spread() -> None:
    two = [Bar("2pc", Spread(50, 40, 100)), Bar("3pc", Spread(25, 25, 25)), Bar("saga", None)]
    drawn = bars("<speed>", [Group("", two)])
    first, second = (float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', drawn))
    assert first == pytest.approx(2 * second)
    assert drawn.count('class="spread"') == 1
    [(least, most)] = re.findall(r'class="spread" d="M([\d.]+) [\d.]+H([\d.]+)"', drawn)
    zero = float(re.findall(r'<rect [^>]*? x="([\d.]+)"', drawn)[0])
    assert float(least) - zero == pytest.approx(0.8 * first, abs=0.2)
    assert float(most) - zero == pytest.approx(2 * first, abs=0.2)
    assert "not measured" in drawn
    assert "&lt;speed&gt;" in drawn


def test_each_curve_goes_through_the_figures_that_its_axes_name(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, tuple[str, str, dict[str, list[Point]]]] = {}

    def keep(title: str, across: Axis, up: Axis, some: list[Curve]) -> str:
        drawn[title] = (across.title, up.title, {one.name: [*one.points] for one in some})
        return ""

    for module in (page_module, losses):
        monkeypatch.setattr(module, "curves", keep)
    report = filled(rounds=1)
    page(report)
    runs = {(str(one.cell.kind), one.cell.protocol, one.cell.level): one for one in report.measured}

    across, up, found = drawn.pop("Latency against throughput, at shares of each protocol's own peak")
    assert (across, up) == ("orders offered a second", "p99, milliseconds")
    for protocol in PROTOCOLS:
        rates = [runs["rate", protocol, level] for level in (0.3, 0.7, 0.9)]
        assert found[protocol] == [(it.offered_per_s, it.latency_ms["p99"]) for it in rates]

    across, up, found = drawn.pop("Distribution of latency at 70% of the peak")
    assert (across, up) == ("so many were answered by then", "milliseconds")
    for protocol in PROTOCOLS:
        assert found[protocol] == [*enumerate(runs["rate", protocol, 0.7].latency_ms.values())]

    for kind, who in (("coordinator-dies", "the orchestrator"), ("participant-dies", "the payment")):
        [title] = [title for title in drawn if title.startswith(f"Answers while {who} dies")]
        across, up, found = drawn.pop(title)
        assert (across, up) == ("seconds", "answers a second")
        for protocol in PROTOCOLS:
            counts = runs[kind, protocol, 0.0].timeline
            assert found[protocol] == [(at / 2, 2 * count) for at, count in enumerate(counts)]
    assert not drawn
