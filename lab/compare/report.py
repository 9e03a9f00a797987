"""`result.json`: what was measured, cell by cell, and the few numbers that follow from it."""

import statistics
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from lab.compare.plan import Cell, Goods, Kind
from lab.crash.table import machine
from lab.state import Trouble

RESULT, PAGE = "result.json", "index.html"
SCHEMA = 1


class Measured(msgspec.Struct, omit_defaults=True):
    """A cell and its figures; those that its kind does not have are left out."""

    cell: Cell
    seconds: float
    """What the cell took."""

    orders: int = 0
    confirmed: int = 0
    refused: int = 0
    unfinished: int = 0
    retried: int = 0
    offered_per_s: float = 0.0
    finished_per_s: float = 0.0
    latency_ms: dict[str, float] = {}
    """p5, p25, p50, p75, p95, p99 and max, from the intended start to the final answer."""

    cpu_us: dict[str, int] = {}
    """CPU time of an order by part of the stack; `python`: all its Python processes; `all`: all parts."""

    rss_mib: dict[str, float] = {}
    cost: dict[str, dict[str, float]] = {}
    """`commits`, `wal_bytes` and `fsyncs` of an order, by database; `all`: together."""

    in_doubt_s: float = 0.0
    recovery_s: float = 0.0
    timeline: list[int] = []
    """How many orders were answered for good in each half second since the first."""

    torn: dict[str, int] = {}
    """Orders that were seen half done by reader: `plain` reads what is committed in each database;
    `coordinated` leaves out what is prepared somewhere."""

    dirty: int = 0
    """Orders whose effects the coordinated reader saw, and that were refused afterwards."""

    reads: int = 0
    wrong: list[str] = []


class Report(msgspec.Struct):
    schema: int
    began: str
    machine: str
    versions: dict[str, str]
    command: str
    seed: int
    measured: list[Measured]
    audit_violations: int | None = None
    """When all was over."""


class Spread(NamedTuple):
    """The median of the rounds (of two the lower one: it was measured), and the least and most of them."""

    median: float
    least: float
    most: float


def begun(command: str, seed: int, versions: dict[str, str]) -> Report:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(SCHEMA, now, machine(), versions, command, seed, [])


def read(path: Path) -> Report:
    """Raises Trouble."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Report)
    except FileNotFoundError:
        raise Trouble(f"There is no {path}.") from None
    except msgspec.MsgspecError as error:
        raise Trouble(f"{path} is not a comparison: {error}.") from None
    if found.schema != SCHEMA:
        raise Trouble(f"{path} has schema {found.schema}; this is {SCHEMA}.")
    return found


def write(report: Report, path: Path) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
    new.replace(path)


def left(report: Report, cells: Sequence[Cell]) -> list[Cell]:
    """What is not measured yet. What went wrong is tried again."""
    done = {one.cell for one in report.measured if not one.wrong}
    return [cell for cell in cells if cell not in done]


def keep(report: Report, measured: Measured) -> None:
    report.measured = [one for one in report.measured if one.cell != measured.cell] + [measured]


def of(
    report: Report, kind: Kind, protocol: str, goods: Goods = "uniform", level: float | None = None
) -> list[Measured]:
    """The rounds of one thing, but for those in which something went wrong."""
    return [
        one
        for one in report.measured
        if not one.wrong
        and (one.cell.kind, one.cell.protocol, one.cell.goods) == (kind, protocol, goods)
        and level in (None, one.cell.level)
    ]


def spread(values: Iterable[float]) -> Spread | None:
    """None of nothing."""
    known = sorted(values)
    return Spread(statistics.median_low(known), known[0], known[-1]) if known else None


def peak(report: Report, protocol: str, goods: Goods = "uniform") -> Spread | None:
    return spread(one.finished_per_s for one in of(report, "peak", protocol, goods))


def latency(report: Report, protocol: str, level: float, share: str) -> Spread | None:
    return spread(one.latency_ms[share] for one in of(report, "rate", protocol, level=level))
