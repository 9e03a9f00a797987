"""The page of a comparison, as a browser lays it out: on a phone and on a desk, by day and by night."""

import base64
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.native.machine import BROWSERS
from lab.compare.page import page
from tests.unit.compared import filled

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-quic",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PHONE, DESK = 360, 1280
SCHEMES = {"dark": 0, "light": 1}
"""As Blink numbers them."""

READABLE = 4.5
"""Contrast of text, WCAG 2.2, 1.4.3."""

FRAME = """<!doctype html><iframe style="border:0;width:{width}px;height:900px" srcdoc="{page}"></iframe>
<pre id="seen"></pre><script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument
  const view = page.defaultView, root = page.documentElement
  const colour = (element, name) => view.getComputedStyle(element)[name]
  const box = element => {{
    const {{x, y, width, height}} = element.getBoundingClientRect()
    return {{x, y, width, height}}
  }}
  const seen = {{
    dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
    wide: root.scrollWidth, room: root.clientWidth,
    canvas: colour(root, "colorScheme"), ink: colour(page.querySelector("svg text"), "fill"),
    body: colour(page.body, "color"),
    pictures: [...page.querySelectorAll("svg")].map(svg => ({{
      ...box(svg), viewBox: svg.viewBox.baseVal.width,
      texts: [...svg.querySelectorAll("text")].map(text => ({{...box(text), said: text.textContent}})),
      bars: [...svg.querySelectorAll("rect")].map(bar => ({{...box(bar), fill: colour(bar, "fill")}})),
    }})),
    tables: [...page.querySelectorAll("table")].map(table =>
      ({{rows: table.rows.length, scrolls: colour(table.parentElement, "overflowX")}})),
  }}
  document.getElementById("seen").textContent = btoa(unescape(encodeURIComponent(JSON.stringify(seen))))
}})
</script>"""


def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    assert found, "no browser: `make browser-test` installs one"
    return found


def look(text: str, width: int, scheme: str, folder: Path) -> dict[str, Any]:
    """What the browser made of the page."""
    file = folder / "frame.html"
    file.write_text(FRAME.format(width=width, page=html.escape(text)), encoding="utf-8")
    command = [
        browser(), *QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={DESK + 40},1000",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", "--virtual-time-budget=5000",
        "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    [told] = re.findall(r'<pre id="seen">([^<]+)</pre>', done.stdout)
    seen: dict[str, Any] = json.loads(base64.b64decode(told))
    return seen


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_is_cut_off_and_nothing_is_missing(tmp_path: Path, width: int, scheme: str) -> None:
    report = filled()
    seen = look(page(report), width, scheme, tmp_path)
    assert seen["dark"] is (scheme == "dark")
    assert seen["room"] == width
    assert seen["wide"] <= width
    assert len(seen["pictures"]) == 15
    for picture in seen["pictures"]:
        right = picture["x"] + picture["width"]
        assert picture["width"] > 300 and picture["height"] > 30
        assert len(picture["bars"]) >= 4
        for part in (*picture["texts"], *picture["bars"]):
            assert picture["x"] - 1 <= part["x"] and part["x"] + part["width"] <= right + 1, part
            assert (
                picture["y"] - 1 <= part["y"]
                and part["y"] + part["height"] <= picture["y"] + picture["height"] + 1
            )
            assert part["width"] > 0 and part["height"] > 0, part
        assert not overlaps(picture["texts"])
    everything = seen["tables"][-1]
    assert everything["rows"] == len(report.measured) + 1
    assert all(table["scrolls"] == "auto" for table in seen["tables"])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_of_it_can_be_read_by_day_and_by_night(tmp_path: Path, scheme: str) -> None:
    seen = look(page(filled()), DESK, scheme, tmp_path)
    paper = (18, 18, 18) if scheme == "dark" else (255, 255, 255)  # the browser's own, by color-scheme
    for ink in (seen["ink"], seen["body"]):
        assert contrast(rgb(ink), paper) >= READABLE
    fills = {bar["fill"] for picture in seen["pictures"] for bar in picture["bars"]}
    assert len(fills) == 4
    assert all(contrast(rgb(fill), paper) >= 3 for fill in fills)


def test_the_recorded_page_fits_a_phone(tmp_path: Path) -> None:
    """The one that the README shows."""
    recorded = Path(__file__).resolve().parents[2] / "docs/comparison/index.html"
    assert look(recorded.read_text(encoding="utf-8"), PHONE, "light", tmp_path)["wide"] <= PHONE


def overlaps(texts: list[dict[str, Any]]) -> list[tuple[str, str]]:
    def meet(one: dict[str, Any], other: dict[str, Any]) -> bool:
        return bool(
            one["x"] < other["x"] + other["width"] and other["x"] < one["x"] + one["width"]
            and one["y"] + 2 < other["y"] + other["height"] and other["y"] + 2 < one["y"] + one["height"]
        )  # fmt: skip

    return [
        (one["said"], other["said"])
        for n, one in enumerate(texts)
        for other in texts[n + 1 :]
        if meet(one, other)
    ]


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", colour)[:3])


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """WCAG 2.2, contrast ratio."""

    def light(colour: tuple[int, ...]) -> float:
        parts = [
            part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    lighter, darker = sorted((light(one), light(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
