"""A small comparison on the running stack: each kind of cell, and that it goes on where it was.

Of the three kinds of death, which differ in the row of the table of crashes, one.
"""

import asyncio
from pathlib import Path

import pytest

from infra.native import Stack
from lab.compare import report as reports
from lab.compare import run
from lab.compare.plan import Cell
from lab.compare.report import Measured
from lab.state import Stack as Told
from services.contract.commit import PARTICIPANTS

PROTOCOL = "2pc"
CELLS = [
    Cell("coordinator-dies", PROTOCOL),
    Cell("participant-away", PROTOCOL),
    Cell("peak", PROTOCOL),
    Cell("rate", PROTOCOL, level=0.3),
    Cell("acknowledged", PROTOCOL, level=0.3),
    Cell("readers", PROTOCOL),
    Cell("armed", PROTOCOL, level=0.3),
    Cell("slow", PROTOCOL, level=0.3),
    Cell("lossy", PROTOCOL, level=0.3),
]
SLOW_MS = 200
SHORT = {"SECONDS": 1.0, "LEAD_S": 0.5, "FEW": 15, "ALONE_PILOT": 60, "READ": 100}


@pytest.mark.timeout(300)
async def test_every_kind_of_cell_is_measured_once(
    chaotic: Stack, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SHORT.items():
        monkeypatch.setattr(run, name, value)
    seen: list[Measured] = []
    report = reports.begun("tradeoff compare", 1, {})

    def fill() -> None:
        run.fill(report, CELLS, tmp_path, lambda it, *_: seen.append(it), told, lambda _: chaotic)

    await asyncio.to_thread(fill)
    assert [(it.cell, it.wrong) for it in seen] == [(cell, []) for cell in CELLS]
    assert report.audit_violations == 0
    assert reports.read(tmp_path / reports.RESULT) == report
    died, away, peak, rate, acknowledged, readers, armed, slow, lossy = seen

    assert died.in_doubt_s > 0 and died.recovery_s > 0
    assert sum(died.timeline) == died.orders
    assert away.accepted == away.confirmed == away.orders
    assert away.recovery_s > 0
    assert peak.finished_per_s > 0 and peak.cpu_us["all"] > 0
    costs_of_two_phases(peak)
    for held in (peak.held_ms, rate.held_ms):
        assert all(0 < held[what]["p50"] <= held[what]["max"] for what in ("stock", "money"))
    assert rate.held_ms["stock"]["p50"] < rate.latency_ms["max"]
    assert acknowledged.accepted == acknowledged.confirmed == acknowledged.orders
    assert acknowledged.latency_ms["p50"] < rate.latency_ms["p50"]
    assert acknowledged.timed < acknowledged.orders
    for it in (rate, armed, slow, lossy):
        assert 0 < it.timed < it.orders
        assert it.offered_per_s == pytest.approx(0.3 * peak.finished_per_s, abs=0.1)
        assert it.confirmed == it.orders
    assert slow.latency_ms["p5"] >= SLOW_MS > armed.latency_ms["p5"]
    assert readers.reads > 0
    assert readers.torn["coordinated"] == readers.dirty == 0

    await asyncio.to_thread(fill)
    assert len(seen) == len(CELLS), "what is measured is not measured again"


def costs_of_two_phases(peak: Measured) -> None:
    for participant in PARTICIPANTS:
        assert peak.cost["commits"][participant] >= 1  # each prepares and commits every order
        assert peak.cost["wal_bytes"][participant] > 0
    # Each participant is asked twice and answers twice, and somebody asks the coordinator to begin.
    assert peak.cost["messages"]["all"] >= 13
    assert peak.cost["messages"]["orchestrator"] >= 6
