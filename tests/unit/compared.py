"""A comparison as it might have come out."""

from lab.compare import report as reports
from lab.compare.plan import Cell, plan
from lab.compare.report import Measured, Report
from lab.stats import SHARES


def measured(cell: Cell, seed: int = 1) -> Measured:
    """Figures by which runs can be told apart."""
    base = 1000.0 * (1 + seed) + len(str(cell)) / 8
    share = {name: base * n for n, name in enumerate(SHARES, 3)}
    cost = {
        kind: {"all": base / n} for n, kind in enumerate(("commits", "wal_bytes", "fsyncs", "messages"), 7)
    }
    held = {
        what: {name: base / 23 + n for n, name in enumerate(SHARES, at)}
        for at, what in enumerate(("stock", "money"))
    }
    torn = {"plain": seed + 40, "coordinated": seed + 30} if cell.kind == "readers" else {}
    return Measured(
        cell, base / 11, seed + 5, seed + 4, seed + 3, 0, seed + 2, base, base / 2, share,
        {"all": seed + 90}, {"python": base / 13}, cost, held, seed + 800, base / 17, base / 19,
        [seed, 0, seed + 7], torn, seed + 20, seed + 700,
    )  # fmt: skip


def filled(rounds: int = 2) -> Report:
    report = reports.begun("tradeoff compare --rounds 2 --seed 1", 1, {"Python": "3.13.0"})
    report.measured = [measured(cell, n) for n, cell in enumerate(plan(rounds, short=False, faults=True))]
    report.paired = reports.paired(report)
    report.audit_violations = 0
    return report
