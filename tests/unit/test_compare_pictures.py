"""The pictures of a comparison: bars, curves, and two that are files of their own."""

import re
from xml.etree import ElementTree

import pytest

from lab.compare.chart import Bar, Group, bars
from lab.compare.curves import Axis, Curve, curves
from lab.compare.page import pictures
from lab.compare.report import Spread
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


def test_nothing_is_drawn_of_nothing() -> None:
    assert curves("", Axis(""), Axis(""), [Curve("saga", [])]) == ""


def test_bars_start_at_one_zero_and_show_the_spread() -> None:
    two = [Bar("2pc", Spread(50, 40, 100)), Bar("3pc", Spread(25, 25, 25)), Bar("saga", None)]
    drawn = bars("<speed>", [Group("", two)])
    first, second = (float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', drawn))
    assert first == pytest.approx(2 * second)
    assert drawn.count('class="spread"') == 1
    assert "not measured" in drawn
    assert "&lt;speed&gt;" in drawn
