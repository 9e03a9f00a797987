"""`result.json`: what was measured, cell by cell, and the few numbers that follow from it."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from lab.anomalies.counts import READERS
from lab.compare.plan import SKEW, Cell, Goods, Kind
from lab.crash.loss import AWAY_S
from lab.kept import machine
from lab.processes import PYTHON
from lab.state import Trouble
from lab.stats import SHARES
from lab.workload import PROTOCOLS

RESULT, PAGE, SCHEMA_FILE = "result.json", "index.html", "schema.json"
SCHEMA = 3
ALL = "all"
"""Of the parts, the databases, the senders: together."""


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
        "is divided. `commits`: what Postgres counts as committed transactions, those that only read "
        "included; preparing one counts nothing, and committing it afterwards does"
    ),
]
Timeline = Annotated[
    list[int],
    of_the_schema(
        "orders answered for good in each half second; after one second the fault is set, and the next "
        "order at that step meets it"
    ),
]
Torn = Annotated[
    dict[str, int],
    of_the_schema(
        "orders seen half done, by reader: `plain` reads what is committed in each database, `coordinated` "
        "leaves out what is still prepared anywhere"
    ),
]
Recovery = Annotated[
    float,
    of_the_schema(
        "from the death until what was under way then had ended; with all coordinators away that includes "
        f"the {AWAY_S:.0f} s of their absence; in `participant-away` from the start of the new processes"
    ),
]
Orders = Annotated[int, of_the_schema("that were asked for; where somebody dies, those that were accepted")]


class Measured(msgspec.Struct, omit_defaults=True):
    """A cell and its figures; those that its kind does not have are left out."""

    cell: Annotated[Cell, of_the_schema("what was measured")]
    seconds: Annotated[float, of_the_schema("that the cell took, with all that prepares it")]
    stack: Annotated[str, of_the_schema("where: the system identifier of the order service's Postgres")] = ""
    orders: Orders = 0
    confirmed: Annotated[int, of_the_schema("of them")] = 0
    refused: Annotated[int, of_the_schema("of them, by the business: no goods, no money")] = 0
    unfinished: Annotated[int, of_the_schema("of them, long after the last was sent")] = 0
    retried: Annotated[int, of_the_schema("requests sent again, with the same key")] = 0
    offered_per_s: Annotated[float, of_the_schema("orders that were due; 0: a closed loop")] = 0.0
    finished_per_s: Annotated[float, of_the_schema("from the first start to the last end")] = 0.0
    timed: Annotated[int, of_the_schema("orders that `latency_ms` is of; others came in the lead")] = 0
    drift: Annotated[
        float,
        of_the_schema(
            "of an open loop: median latency of the last third of them, by that of the first third"
        ),
    ] = 0.0
    latency_ms: Latency = {}
    cpu_us: Cpu = {}
    rss_mib: Annotated[dict[str, float], of_the_schema("resident memory at the end, by part")] = {}
    cost: Costs = {}
    held_ms: Held = {}
    accepted: Annotated[int, of_the_schema("of `orders`, where none waits for its outcome")] = 0
    in_doubt_s: Annotated[float, of_the_schema("the longest that a transaction stood prepared")] = 0.0
    recovery_s: Recovery = 0.0
    timeline: Timeline = []
    torn: Torn = {}
    dirty: Annotated[
        int, of_the_schema("orders of which the coordinated reader saw effects, later refused")
    ] = 0
    reads: Annotated[int, of_the_schema("looks of the readers")] = 0
    wrong: Annotated[list[str], of_the_schema("what went wrong; such a cell counts nowhere")] = []


class Report(msgspec.Struct):
    """A comparison. Rates are per second, latencies in milliseconds, memory in MiB, CPU in microseconds."""

    schema: Annotated[int, of_the_schema("of this file")]
    began: Annotated[str, of_the_schema("ISO 8601, UTC")]
    machine: Annotated[str, of_the_schema("system, cores, processor, Python")]
    versions: Annotated[dict[str, str], of_the_schema("of the servers; of `Tradeoff` its commit")]
    command: Annotated[str, of_the_schema("that repeats it")]
    seed: Annotated[int, of_the_schema("of who orders what, and when; round n has this one plus n")]
    planned: Annotated[int, of_the_schema("cells")]
    measured: Annotated[list[Measured], of_the_schema("in the order of time")]
    paired: Annotated[
        dict[str, dict[str, list[float]]],
        of_the_schema(
            "goods, then protocol: its peak divided by that of 2pc in the same round, for each round"
        ),
    ] = {}
    audits: Annotated[dict[str, int], of_the_schema("violations found, by `stack`, after its last cell")] = {}
    audit_violations: Annotated[
        int | None, of_the_schema("of all stacks together; null: one of them was not audited")
    ] = None


PILES_UP = 2.0
"""Of `drift`."""

BASE = "2pc"
"""The textbook: what others are compared with, round by round."""


class Spread(NamedTuple):
    """The median of the rounds (of two the lower one: it was measured), and the least and most of them."""

    median: float
    least: float
    most: float


def begun(command: str, seed: int, versions: dict[str, str], planned: int = 0) -> Report:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(SCHEMA, now, machine(), versions, command, seed, planned, [])


def read(path: Path) -> Report:
    """The result, or that of a folder. Raises Trouble."""
    path = path / RESULT if path.is_dir() else path
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Report)
    except FileNotFoundError:
        raise Trouble(f"There is no {path}.") from None
    except OSError as error:
        raise Trouble(f"{path} cannot be read: {error.strerror}.") from None
    except msgspec.MsgspecError as error:
        raise Trouble(f"{path} is not a comparison: {error}.") from None
    if found.schema != SCHEMA:
        raise Trouble(f"{path} has schema {found.schema}; this is {SCHEMA}.")
    for one in found.measured:
        if missing := _missing(one):
            raise Trouble(f"{path} is not a comparison: {one.cell} has no {missing}.")
        if any(value < 0 for value in _numbers(msgspec.to_builtins(one))):
            raise Trouble(f"{path} is not a comparison: less than nothing of {one.cell}.")
    found.audit_violations = _of_all_stacks(found)
    return found


def _numbers(tree: object) -> Iterator[float]:
    if isinstance(tree, dict | list):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from _numbers(part)
    elif isinstance(tree, int | float):
        yield tree


def _of_all_stacks(report: Report) -> int | None:
    """Violations; None if something was measured on a stack that was not audited, or nothing was."""
    stacks = {one.stack for one in report.measured}
    return sum(report.audits.values()) if stacks and stacks <= report.audits.keys() else None


def _missing(one: Measured) -> str:
    """What each table of figures has, if it is there at all."""
    tables: list[tuple[Mapping[str, object], Iterable[str]]] = [
        (one.latency_ms, SHARES),
        (one.cpu_us, [ALL]),
        (one.rss_mib, [PYTHON]),
        (one.torn, READERS),
        *((table, SHARES) for table in one.held_ms.values()),
        *((table, [ALL]) for table in one.cost.values()),
    ]
    return next((name for table, names in tables if table for name in names if name not in table), "")


def left(report: Report, cells: Sequence[Cell]) -> list[Cell]:
    """What is not measured yet. What went wrong is tried again."""
    done = {one.cell for one in report.measured if not one.wrong}
    return [cell for cell in cells if cell not in done]


def is_complete(report: Report) -> bool:
    """Nothing is left to measure, or to measure again, or to audit."""
    well = sum(not one.wrong for one in report.measured)
    return well >= report.planned > 0 and report.audit_violations is not None


def keep(report: Report, measured: Measured) -> None:
    report.audits.pop(measured.stack, None)
    report.audit_violations = None
    report.measured = [one for one in report.measured if one.cell != measured.cell] + [measured]


def audited(report: Report, stack: str, violations: int) -> None:
    """All that was measured on this stack is vouched for, or not."""
    report.audits[stack] = violations
    report.audit_violations = _of_all_stacks(report)


def forget_all_but(report: Report, stack: str) -> None:
    """What was measured on stacks that nobody has audited, and nobody can any more."""
    report.measured = [one for one in report.measured if one.stack == stack or one.stack in report.audits]


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


def offered(report: Report, protocol: str, level: float) -> Spread | None:
    """Orders a second, in an open loop."""
    return spread(one.offered_per_s for one in of(report, "rate", protocol, level=level))


def behind(report: Report) -> list[Measured]:
    """Open loops in which answers took longer and longer: orders piled up, or the machine became slower."""
    return [one for one in report.measured if not one.wrong and one.drift > PILES_UP]


def held(report: Report, protocol: str, level: float, what: str, share: str) -> Spread | None:
    runs = of(report, "rate", protocol, level=level)
    return spread(one.held_ms[what][share] for one in runs if what in one.held_ms)


def of_an_order(report: Report, protocol: str, kind: str) -> Spread | None:
    """At the peak: `cpu` in microseconds; `messages`; `commits`, `wal_bytes`, `fsyncs` of all databases."""
    peaks = of(report, "peak", protocol)
    if kind == "cpu":
        return spread(one.cpu_us[ALL] for one in peaks if one.cpu_us)
    return spread(one.cost[kind][ALL] for one in peaks if kind in one.cost)
