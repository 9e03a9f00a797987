"""A comparison as it might have come out."""

from lab.compare import report as reports
from lab.compare.plan import Cell, plan
from lab.compare.report import Measured, Report
from lab.processes import PYTHON
from lab.stats import SHARES

STACK = "7000000000000000001"


def measured(cell: Cell, seed: int = 1) -> Measured:
    """Figures by which runs can be told apart."""
    base = 1000.0 * (1 + seed) + len(str(cell)) / 8
    share = {name: base * n for n, name in enumerate(SHARES, 3)}
    cost = {
        kind: {reports.ALL: base / n}
        for n, kind in enumerate(("commits", "wal_bytes", "fsyncs", "messages"), 7)
    }
    held = {
        what: {name: base / 23 + n for n, name in enumerate(SHARES, at)}
        for at, what in enumerate(("stock", "money"))
    }
    torn = {"plain": seed + 40, "coordinated": seed + 30} if cell.kind == "readers" else {}
    return Measured(
        cell,
        base / 11,
        STACK,
        orders=seed + 5,
        confirmed=seed + 4,
        refused=seed + 3,
        retried=seed + 2,
        offered_per_s=base,
        finished_per_s=0.9 * base,
        timed=seed + 500,
        latency_ms=share,
        cpu_us={reports.ALL: seed + 90},
        rss_mib={PYTHON: base / 13},
        cost=cost,
        held_ms=held,
        accepted=seed + 800,
        in_doubt_s=base / 17,
        recovery_s=base / 19,
        timeline=[seed, 0, seed + 7],
        torn=torn,
        dirty=seed + 20,
        reads=seed + 700,
    )


def filled(rounds: int = 2) -> Report:
    cells = plan(rounds, short=False, faults=True)
    report = reports.begun("tradeoff compare --rounds 2 --seed 1", 1, {"PostgreSQL": "15.3"}, len(cells))
    for n, cell in enumerate(cells):
        reports.keep(report, measured(cell, n))
    report.paired = reports.paired(report)
    reports.audited(report, STACK, 0)
    return report
