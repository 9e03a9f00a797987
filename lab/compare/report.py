"""`result.json`: what was measured, cell by cell, and the few numbers that follow from it."""

import statistics
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from lab.compare.plan import SKEW, Cell, Goods, Kind
from lab.kept import machine
from lab.state import Trouble
from lab.workload import PROTOCOLS

RESULT, PAGE, SCHEMA_FILE = "result.json", "index.html", "schema.json"
SCHEMA = 2


def of_the_schema(words: str) -> msgspec.Meta:
    """Fields are documented in `schema.json`, where their readers are."""
    return msgspec.Meta(description=words)


Latency = Annotated[
    dict[str, float],
    of_the_schema("from the intended start to the final answer; in `acknowledged` cells to the first one"),
]
Held = Annotated[
    dict[str, dict[str, float]],
    of_the_schema(
        "`stock` and `money`, of confirmed orders: by a saga from when they are set aside until that is "
        "final, and nobody waits; by a commit from the vote until the participant has committed, as its "
        "coordinator hears of both, and whoever wants the same row waits"
    ),
]
Cpu = Annotated[
    dict[str, int],
    of_the_schema("of an order, by part; `python`: all Python processes; `all`: all parts but the client"),
]
Costs = Annotated[
    dict[str, dict[str, float]],
    of_the_schema(
        "of an order: kind, then database, or who sends the messages; `all` together. What orders share "
        "is divided"
    ),
]
Timeline = Annotated[
    list[int],
    of_the_schema("orders answered for good in each half second; the loss is after one second"),
]
Torn = Annotated[
    dict[str, int],
    of_the_schema(
        "orders seen half done, by reader: `plain` reads what is committed in each database, `coordinated` "
        "leaves out what is still prepared anywhere"
    ),
]


class Measured(msgspec.Struct, omit_defaults=True):
    """A cell and its figures; those that its kind does not have are left out."""

    cell: Cell
    seconds: Annotated[float, of_the_schema("that the cell took")]
    orders: int = 0
    confirmed: int = 0
    refused: int = 0
    unfinished: int = 0
    retried: Annotated[int, of_the_schema("requests sent again, with the same key")] = 0
    offered_per_s: Annotated[float, of_the_schema("0: a closed loop")] = 0.0
    finished_per_s: float = 0.0
    latency_ms: Latency = {}
    cpu_us: Cpu = {}
    rss_mib: dict[str, float] = {}
    cost: Costs = {}
    held_ms: Held = {}
    accepted: Annotated[int, of_the_schema("of `orders`, where none waits for its outcome")] = 0
    in_doubt_s: Annotated[float, of_the_schema("the longest that a transaction stood prepared")] = 0.0
    recovery_s: Annotated[
        float,
        of_the_schema(
            "from the loss until what was under way had ended; where somebody was away, from his return"
        ),
    ] = 0.0
    timeline: Timeline = []
    torn: Torn = {}
    dirty: Annotated[
        int, of_the_schema("orders of which the coordinated reader saw effects, later refused")
    ] = 0
    reads: Annotated[int, of_the_schema("looks of the readers")] = 0
    wrong: Annotated[list[str], of_the_schema("what went wrong; such a cell counts nowhere")] = []


class Report(msgspec.Struct):
    schema: int
    began: str
    machine: str
    versions: dict[str, str]
    command: str
    seed: int
    measured: list[Measured]
    paired: Annotated[
        dict[str, dict[str, list[float]]],
        of_the_schema(
            "goods, then protocol: its peak divided by that of 2pc in the same round, for each round"
        ),
    ] = {}
    audit_violations: Annotated[int | None, of_the_schema("when all was over; null: it is not")] = None


BASE = "2pc"
"""The textbook: what others are compared with, round by round."""


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


def paired(report: Report) -> dict[str, dict[str, list[float]]]:
    """What a machine that is slow for a while does to all, it does to a round."""

    def ratios(protocol: str, goods: Goods) -> list[float]:
        bases = {one.cell.round: one.finished_per_s for one in of(report, "peak", BASE, goods)}
        return [
            round(one.finished_per_s / base, 2)
            for one in of(report, "peak", protocol, goods)
            if (base := bases.get(one.cell.round))
        ]

    return {goods: {one: ratios(one, goods) for one in PROTOCOLS} for goods in SKEW}


def latency(report: Report, protocol: str, level: float, share: str, kind: Kind = "rate") -> Spread | None:
    return spread(one.latency_ms[share] for one in of(report, kind, protocol, level=level) if one.latency_ms)


def held(report: Report, protocol: str, level: float, what: str, share: str) -> Spread | None:
    runs = of(report, "rate", protocol, level=level)
    return spread(one.held_ms[what][share] for one in runs if what in one.held_ms)


def of_an_order(report: Report, protocol: str, kind: str) -> Spread | None:
    """At the peak: `cpu` in microseconds; `messages`; `commits`, `wal_bytes`, `fsyncs` of all databases."""
    peaks = of(report, "peak", protocol)
    if kind == "cpu":
        return spread(one.cpu_us["all"] for one in peaks if one.cpu_us)
    return spread(one.cost[kind]["all"] for one in peaks if kind in one.cost)
