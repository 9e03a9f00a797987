"""What the page of a comparison shows of losses: who died or was away, and what readers saw meanwhile."""

from collections.abc import Callable

from lab.anomalies.counts import READERS
from lab.compare import report as reports
from lab.compare.accepted import AWAY
from lab.compare.chart import Bar, Group, bars, number
from lab.compare.curves import Axis, Curve, Point, curves
from lab.compare.plan import IN_FAULTS, LOST, READ_RATE, SLOW_S, Kind
from lab.compare.report import Measured, Report
from lab.compare.table import table
from lab.crash.crash import AHEAD_S, LOAD_S, RATE
from lab.crash.loss import AWAY_S
from lab.witness import SLICE_S
from lab.workload import PROTOCOLS


def deaths(report: Report) -> str:
    titles: dict[Kind, str] = {
        "coordinator-dies": "the orchestrator dies when all that could say no has said yes",
        "coordinators-away": f"all orchestrators die then, and are away for {AWAY_S:.0f} s of it",
        "participant-dies": "the payment dies with the charge in its hands",
    }

    def group(kind: Kind, what: str, value: Callable[[Measured], float]) -> Group:
        found = [Bar(one, reports.spread(map(value, reports.of(report, kind, one)))) for one in PROTOCOLS]
        return Group(f"{titles[kind]}: {what}", found)

    return bars(
        "Seconds until all is well again",
        [
            group(kind, what, value)
            for kind in titles
            for what, value in (
                ("longest in doubt", lambda one: one.in_doubt_s),
                ("recovered", lambda one: one.recovery_s),
            )
        ],
    )


def away(report: Report) -> str:
    figures: dict[str, Callable[[Measured], float]] = {
        "orders asked": lambda one: one.orders,
        "accepted": lambda one: one.accepted,
        "confirmed in the end": lambda one: one.confirmed,
        "refused in the end": lambda one: one.refused,
        "longest in doubt, seconds": lambda one: one.in_doubt_s,
        "all ended, seconds after it was started again": lambda one: one.recovery_s,
    }
    rows = [
        (one, *(number(value(it)) for value in figures.values()))
        for one in PROTOCOLS
        for it in reports.of(report, "participant-away", one)
    ]
    words = f"For {AWAY_S:.0f} seconds no replica of the {AWAY} is there, and nobody waits for an outcome."
    return f"<p>{words}</p>{table(('protocol', *figures), rows)}" if rows else ""


def timeline(report: Report, kind: Kind, who: str) -> str:
    def points(protocol: str) -> list[Point]:
        counts = [one.timeline for one in reports.of(report, kind, protocol)][-1:]
        return [(SLICE_S * at, count / SLICE_S) for line in counts for at, count in enumerate(line)]

    load = f"{RATE:.0f} orders a second for {LOAD_S:.0f} s, the death soon after {AHEAD_S:.0f} s"
    title = f"Answers while {who} dies: {load}"
    drawn = [Curve(one, points(one)) for one in PROTOCOLS]
    return curves(title, Axis("seconds"), Axis("answers a second"), drawn)


def hardships(report: Report) -> str:
    titles: dict[Kind, str] = {
        "armed": "undisturbed",
        "slow": f"every transaction of the payment takes {1000 * SLOW_S:.0f} ms longer",
        "lossy": f"{LOST:.0%} of the orchestrator's messages (saga), calls (others) lost, {LOST:.0%} twice",
    }

    def group(kind: Kind, share: str) -> Group:
        found = [
            Bar(
                one,
                reports.spread(it.latency_ms[share] for it in reports.of(report, kind, one, level=IN_FAULTS)),
            )
            for one in PROTOCOLS
        ]
        return Group(f"{titles[kind]}: {share}", found)

    groups = [group(kind, share) for kind in titles for share in ("p50", "p99")]
    title = f"Milliseconds to the final answer, at {IN_FAULTS:.0%} of each protocol's own peak, measured once"
    return bars(title, groups)


def readers(report: Report) -> str:
    head = ("protocol", "looks", "orders", *(f"half done, {who}" for who in READERS), "seen, then refused")
    rows = [
        (
            one,
            number(it.reads),
            number(it.orders),
            *(number(it.torn[who]) for who in READERS),
            number(it.dirty),
        )
        for one in PROTOCOLS
        for it in reports.of(report, "readers", one)
    ]
    words = (
        "A plain reader takes what is committed in each database. A coordinated one leaves out, everywhere, "
        f"what is still prepared anywhere. Each protocol had {READ_RATE:.0f} orders a second, so the counts "
        "can be compared; but who looks more often sees more."
    )
    return f"<p>{words}</p>{table(head, rows)}"
