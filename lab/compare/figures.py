"""What each kind of measurement tells, as the figures of a cell."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lab.bench import CLIENT
from lab.compare import report as reports
from lab.compare.accepted import Away
from lab.compare.plan import Cell
from lab.compare.report import Measured
from lab.crash.crash import Result
from lab.processes import PYTHON

SAME = ("orders", "confirmed", "refused", "unfinished", "retried", "timed")
"""What a measurement and its cell call by the same name."""


def of_load(cell: Cell, result: Mapping[str, Any], **more: Any) -> Measured:
    """Of what `lab.bench` measured."""
    cpu_us = result["cpu_us_per_order"]
    parts = sum(spent for name, spent in cpu_us.items() if name not in (PYTHON, CLIENT))
    return Measured(
        cell,
        0.0,
        **{name: result[name] for name in SAME},
        offered_per_s=round(result["rate"] or 0.0, 1),
        drift=result["drift"] if result["rate"] else 0.0,
        finished_per_s=result["finished_per_s"],
        latency_ms=result["latency_ms"],
        # In containers nobody sees the others' processes.
        cpu_us=cpu_us | {reports.ALL: parts} if parts else {},
        rss_mib=result["rss_mib"],
        wrong=_unfinished(result["unfinished"]),
        **more,
    )


def of_readers(cell: Cell, seen: Mapping[str, Any]) -> Measured:
    """Of what `lab.anomalies` saw."""
    wrong = [f"{seen['violations']} reads that {cell.protocol} excludes"] * bool(seen["violations"])
    wrong += _unfinished(seen["unfinished"]) + ["nobody could read"] * (not seen["reads"])
    readers = seen["readers"]
    return Measured(
        cell,
        0.0,
        **{name: seen[name] for name in ("orders", "confirmed", "refused", "unfinished", "reads")},
        torn={name: reader["fractured"]["orders"] for name, reader in readers.items()},
        dirty=readers["coordinated"]["dirty"]["orders"],
        wrong=wrong,
    )


def of_absence(cell: Cell, away: Away) -> Measured:
    """Of a participant's, while nobody waited."""
    return Measured(
        cell,
        0.0,
        orders=away.asked,
        accepted=away.accepted,
        in_doubt_s=away.in_doubt_s,
        recovery_s=away.recovery_s,
        **ended(away.accepted, away.outcomes),
    )


def of_loss(cell: Cell, result: Result) -> Measured:
    """Of a row of the table of crashes."""
    return Measured(
        cell,
        0.0,
        orders=result.acknowledged,
        retried=result.repeated,
        in_doubt_s=result.in_doubt_s,
        recovery_s=result.recovery_s,
        timeline=result.timeline,
        wrong=result.wrong,
    )


def ended(accepted: int, ends: Counter[str]) -> dict[str, Any]:
    """All that was accepted has to end."""
    unfinished = accepted - ends["CONFIRMED"] - ends["REFUSED"]
    return {
        "confirmed": ends["CONFIRMED"],
        "refused": ends["REFUSED"],
        "unfinished": unfinished,
        "wrong": _unfinished(unfinished),
    }


def _unfinished(unfinished: int) -> list[str]:
    return [f"{unfinished} orders did not finish"] * bool(unfinished)
