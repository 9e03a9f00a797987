"""The comparison as a page of its own: no script, nothing fetched; for light and dark, phone and paper."""

import statistics
from collections.abc import Callable, Iterable, Iterator
from html import escape

from lab.anomalies.counts import READERS
from lab.compare import report as reports
from lab.compare.chart import INK, Bar, Group, alone, bars, number
from lab.compare.curves import Axis, Curve, Point, curves
from lab.compare.plan import IN_FAULTS, LEVELS, SKEW, Kind
from lab.compare.reading import reading
from lab.compare.report import Measured, Report
from lab.crash.crash import AHEAD_S, LOAD_S, RATE
from lab.stats import SHARES
from lab.witness import SLICE_S
from lab.workload import PROTOCOLS

STYLE = """
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
figure { margin: 1.5rem 0; } figcaption { font-weight: 600; margin-bottom: .5rem; }
svg { width: 100%; height: auto; max-width: 44rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; width: 100%; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
.bad { color: var(--bad); } code { font-size: .85em; overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; } figure, tr { break-inside: avoid; } }
"""

GOODS = {
    "uniform": "1,000 products, each as likely",
    "zipf": "some far more wanted (Zipf 0.99)",
    "hot": "one product",
}


def page(report: Report) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tradeoff: saga, 2PC and 3PC beside one another</title><style>{INK}{STYLE}</style>
<h1>Saga, 2PC and 3PC beside one another</h1>
<p>The same orders, services and tables. Begun {escape(report.began)} on
{escape(report.machine)}; {escape(versions)}; seed {report.seed}. {_verdict(report)}
Again: <code>{escape(report.command)}</code></p>
<h2>What to choose</h2>
{"".join(f"<p>{words}</p>" for words in reading(report))}
<h2>How fast</h2>
{_peaks(report)}
{_latency(report)}
{_against_throughput(report)}
{_distribution(report)}
<h2>What an order costs</h2>
{_costs(report)}
<h2>When something dies</h2>
{_deaths(report)}
{_timeline(report, "coordinator-dies", "the orchestrator")}
{_timeline(report, "participant-dies", "the payment")}
{_hardships(report)}
<h2>What a reader sees meanwhile</h2>
{_readers(report)}
<h2>Every run</h2>
{_everything(report)}
</html>
"""


def pictures(report: Report) -> dict[str, str]:
    """Two of them by the names of their files, for other people's pages."""
    drawn = {"peaks.svg": _peaks(report), "latency.svg": _against_throughput(report)}
    return {name: alone(picture) for name, picture in drawn.items() if "<svg" in picture}


def _verdict(report: Report) -> str:
    wrong = [f"{one.cell}: {'; '.join(one.wrong)}" for one in report.measured if one.wrong]
    if report.audit_violations is None:
        return "It is not finished: no audit yet."
    if wrong or report.audit_violations:
        told = f"{report.audit_violations} violations; {len(wrong)} runs went wrong, and do not count below."
        said = "".join(f"<li>{escape(words)}</li>" for words in wrong)
        return f'<strong class="bad">{told}</strong><ul>{said}</ul>'
    return "The audit afterwards found no violation."


def _peaks(report: Report) -> str:
    words = (
        "Each with as many orders under way as it wants: 1,024 where orders share transactions and messages, "
        "256 where each is a transaction of its own."
    )
    groups = [
        Group(GOODS[goods], [Bar(one, reports.peak(report, one, goods)) for one in PROTOCOLS])
        for goods in SKEW
    ]
    return (
        bars("Finished orders a second, as fast as they go (the line: least and most of the rounds)", groups)
        + f"<p>{words}</p>"
    )


def _latency(report: Report) -> str:
    levels = [
        level for level in LEVELS if any(reports.of(report, "rate", one, level=level) for one in PROTOCOLS)
    ]
    groups = [
        Group(
            f"{share}, at {level:.0%} of each protocol's own peak",
            [Bar(one, reports.latency(report, one, level, share)) for one in PROTOCOLS],
        )
        for level in levels
        for share in ("p50", "p99")
    ]
    return bars("Milliseconds from the intended start to the final answer (open loop)", groups)


def _against_throughput(report: Report) -> str:
    def points(protocol: str) -> Iterator[Point]:
        for level in LEVELS:
            if p99 := reports.latency(report, protocol, level, "p99"):
                offered = (one.offered_per_s for one in reports.of(report, "rate", protocol, level=level))
                yield statistics.median_low(offered), p99.median

    drawn = [Curve(one, list(points(one))) for one in PROTOCOLS]
    across, up = (
        Axis("orders offered a second", logarithmic=True),
        Axis("p99, milliseconds", logarithmic=True),
    )
    return curves("Latency against throughput, at shares of each protocol's own peak", across, up, drawn)


def _distribution(report: Report) -> str:
    def points(protocol: str) -> Iterator[Point]:
        for at, share in enumerate(SHARES):
            if latency := reports.latency(report, protocol, LEVELS[1], share):
                yield float(at), latency.median

    drawn = [Curve(one, list(points(one))) for one in PROTOCOLS]
    across = Axis("so many were answered by then", names=tuple(SHARES))
    up = Axis("milliseconds", logarithmic=True)
    return curves(f"Distribution of latency at {LEVELS[1]:.0%} of the peak", across, up, drawn)


def _timeline(report: Report, kind: Kind, who: str) -> str:
    def points(protocol: str) -> list[Point]:
        counts = [one.timeline for one in reports.of(report, kind, protocol)][-1:]
        return [(SLICE_S * at, count / SLICE_S) for line in counts for at, count in enumerate(line)]

    load = f"{RATE:.0f} orders a second for {LOAD_S:.0f} s, the loss soon after {AHEAD_S:.0f} s"
    title = f"Answers while {who} dies: {load}"
    drawn = [Curve(one, points(one)) for one in PROTOCOLS]
    return curves(title, Axis("seconds"), Axis("answers a second"), drawn)


def _costs(report: Report) -> str:
    titles = {
        "cpu": "CPU of all parts at the peak, microseconds",
        "commits": "commits at the peak, all databases",
        "wal_bytes": "write-ahead log at the peak, bytes",
        "fsyncs": "times the log was made durable (fsync), at the peak",
    }
    return "".join(
        bars(title, [Group("", [Bar(one, reports.of_an_order(report, one, kind)) for one in PROTOCOLS])])
        for kind, title in titles.items()
    )


def _deaths(report: Report) -> str:
    titles: dict[Kind, str] = {
        "coordinator-dies": "the orchestrator dies when all that could say no has said yes",
        "participant-dies": "the payment dies with the charge in its hands",
    }

    def group(kind: Kind, what: str, value: Callable[[Measured], float]) -> Group:
        found = [Bar(one, reports.spread(map(value, reports.of(report, kind, one)))) for one in PROTOCOLS]
        return Group(f"{titles[kind]}: {what}", found)

    return bars(
        "Seconds until all is well again; whoever died is started again",
        [
            group(kind, what, value)
            for kind in titles
            for what, value in (
                ("longest in doubt", lambda one: one.in_doubt_s),
                ("recovered", lambda one: one.recovery_s),
            )
        ],
    )


def _hardships(report: Report) -> str:
    titles: dict[Kind, str] = {
        "rate": "undisturbed",
        "slow": "every transaction of the payment takes 200 ms longer",
        "lossy": "2 % of the orchestrator's requests are lost, 2 % come twice",
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
    return bars("Milliseconds to the final answer, at 30% of each protocol's own peak", groups)


def _readers(report: Report) -> str:
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
        "what is still prepared anywhere. Of the counts only the zeros mean much: the others grow with how "
        "often one looks."
    )
    return f"<p>{words}</p>{_table(head, rows)}"


def _everything(report: Report) -> str:
    head = (
        "cell", "round", "orders", "confirmed", "refused", "retried", "offered/s", "finished/s",
        "p50 ms", "p95 ms", "p99 ms", "max ms", "Python MiB", "seconds",
    )  # fmt: skip
    return _table(head, (_cells(one) for one in report.measured))


def _cells(one: Measured) -> tuple[str, ...]:
    figures = (one.orders, one.confirmed, one.refused, one.retried, one.offered_per_s, one.finished_per_s)
    shares = [
        number(one.latency_ms[share]) if one.latency_ms else "" for share in ("p50", "p95", "p99", "max")
    ]
    memory = number(one.rss_mib["python"]) if one.rss_mib else ""
    return (str(one.cell), str(one.cell.round), *map(number, figures), *shares, memory, number(one.seconds))


def _table(head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
