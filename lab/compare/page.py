"""The comparison as a page of its own: no script, nothing fetched; for light and dark, phone and paper."""

from collections.abc import Iterator
from html import escape

from lab.compare import losses
from lab.compare import report as reports
from lab.compare.chart import INK, Bar, Group, alone, bars, number
from lab.compare.curves import Axis, Curve, Point, curves
from lab.compare.plan import FEW, LEVELS, MANY, SKEW, Kind
from lab.compare.reading import reading
from lab.compare.report import Measured, Report
from lab.compare.table import table
from lab.stats import SHARES
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
<p>{_rounds(report)}</p>
<h2>What to choose</h2>
{"".join(f"<p>{words}</p>" for words in reading(report))}
<h2>How fast</h2>
{_peaks(report)}
{_latency(report)}
{_against_throughput(report)}
{_distribution(report)}
{_acknowledged(report)}
<h2>What an order costs</h2>
{_costs(report)}
<h2>How long others do without</h2>
{_held(report)}
<h2>When something dies</h2>
{losses.deaths(report)}
{losses.away(report)}
{losses.timeline(report, "coordinator-dies", "the orchestrator")}
{losses.timeline(report, "participant-dies", "the payment")}
{losses.hardships(report)}
<h2>What a reader sees meanwhile</h2>
{losses.readers(report)}
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
    said = f"<ul>{''.join(f'<li>{escape(words)}</li>' for words in wrong)}</ul>" * bool(wrong)
    if report.audit_violations is None or len(report.measured) < report.planned:
        told = f"{len(report.measured)} of {report.planned} runs" if report.planned else "nothing yet"
        audit = "no audit yet" if report.audit_violations is None else f"{report.audit_violations} violations"
        return f"<strong>It is not finished: {told}, {audit}.</strong>{said}"
    if wrong or report.audit_violations:
        told = f"{report.audit_violations} violations; {len(wrong)} runs went wrong, and do not count below."
        return f'<strong class="bad">{told}</strong>{said}'
    return "The audit afterwards found no violation."


def _rounds(report: Report) -> str:
    rounds = max((one.cell.round for one in report.measured if one.cell.kind == "peak"), default=0)
    if rounds < 2:
        return "One round: nobody knows how far from it the next one would be."
    middle = "of an even number the lower of the two in the middle" if rounds % 2 == 0 else "one of them"
    return (
        f"{rounds} rounds, the protocols by turns: a bar is the median, {middle}; the line on it goes from "
        "the least to the most; curves go through medians. What has no line was measured once."
    )


def _peaks(report: Report) -> str:
    words = (
        f"Each with as many orders under way as it wants: {MANY:,} where orders share transactions and "
        f"messages, {FEW} where each is a transaction of its own."
    )
    groups = [
        Group(GOODS[goods], [Bar(one, reports.peak(report, one, goods)) for one in PROTOCOLS])
        for goods in SKEW
    ]
    return bars("Finished orders a second, as fast as they go", groups) + f"<p>{words}</p>{_paired(report)}"


def _paired(report: Report) -> str:
    """The protocols of each round beside one another: a slow minute of the machine is all of theirs."""

    def told(goods: str, protocol: str) -> str:
        found = reports.spread(report.paired.get(goods, {}).get(protocol, ()))
        return f"{number(found.median)} ({number(found.least)} to {number(found.most)})" if found else ""

    head = (f"so many times as fast as {reports.BASE} in the same round", *PROTOCOLS)
    rows = [(words, *(told(goods, one) for one in PROTOCOLS)) for goods, words in GOODS.items()]
    return table(head, rows) if any(report.paired.values()) else ""


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
    title = "Milliseconds from the intended start to the final answer (open loop)"
    return bars(title, groups) + _behind(report)


def _behind(report: Report) -> str:
    told = "; ".join(
        f"{one.cell} (in the end {number(one.drift)} times as long as in the beginning)"
        for one in reports.behind(report)
    )
    words = "Answers took longer and longer, so that the latency says how long the run was, too"
    return f"<p>{words}: {escape(told)}.</p>" if told else ""


def _against_throughput(report: Report) -> str:
    def points(protocol: str) -> Iterator[Point]:
        for level in LEVELS:
            rate = reports.offered(report, protocol, level)
            if rate and (p99 := reports.latency(report, protocol, level, "p99")):
                yield rate.median, p99.median

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


def _acknowledged(report: Report) -> str:
    def group(kind: Kind, what: str, share: str) -> Group:
        found = [Bar(one, reports.latency(report, one, LEVELS[1], share, kind)) for one in PROTOCOLS]
        return Group(f"{what}: {share}", found)

    titles: dict[Kind, str] = {"acknowledged": "until the order is accepted", "rate": "until it is final"}
    groups = [group(kind, what, share) for kind, what in titles.items() for share in ("p50", "p99")]
    runs = [(one, it) for one in PROTOCOLS for it in reports.of(report, "acknowledged", one)]
    told = ", ".join(f"{one} {number(it.accepted)} of {number(it.orders)}" for one, it in runs)
    words = "Accepted of those that came; the others were told to come again later, and have no part in it"
    title = f"Milliseconds for who waits for acceptance, and for the outcome, at {LEVELS[1]:.0%} of the peak"
    return bars(title, groups) + f"<p>{words}: {told}.</p>" if runs else ""


def _held(report: Report) -> str:
    titles = {"stock": "goods", "money": "money"}
    groups = [
        Group(
            f"{words}: {share}",
            [Bar(one, reports.held(report, one, LEVELS[1], what, share)) for one in PROTOCOLS],
        )
        for what, words in titles.items()
        for share in ("p50", "p99")
    ]
    words = (
        "By a saga goods are set aside until they are sold, and money is taken that may have to go back; "
        "nobody waits for either. By a commit the rows are locked, about from the vote until the participant "
        "has committed, as its coordinator hears of both: whoever wants the same product or account waits, "
        "unless he is in the same transaction."
    )
    return (
        bars(f"Milliseconds that an order holds them, at {LEVELS[1]:.0%} of each protocol's own peak", groups)
        + f"<p>{words}</p>"
    )


def _costs(report: Report) -> str:
    titles = {
        "cpu": "CPU of all parts at the peak, microseconds",
        "messages": "messages between the services at the peak, answers included",
        "commits": "transactions that Postgres counts as committed at the peak, those that only read, too",
        "wal_bytes": "write-ahead log at the peak, bytes",
        "fsyncs": "times the log was made durable (fsync), at the peak",
    }
    return "".join(
        bars(title, [Group("", [Bar(one, reports.of_an_order(report, one, kind)) for one in PROTOCOLS])])
        for kind, title in titles.items()
    )


def _everything(report: Report) -> str:
    head = (
        "cell", "round", "orders", "confirmed", "refused", "retried", "offered/s", "finished/s",
        "timed", "p50 ms", "p95 ms", "p99 ms", "max ms", "Python MiB", "seconds",
    )  # fmt: skip
    return table(head, (_cells(one) for one in report.measured))


def _cells(one: Measured) -> tuple[str, ...]:
    figures = (one.orders, one.confirmed, one.refused, one.retried, one.offered_per_s, one.finished_per_s)
    shares = [
        number(one.latency_ms[share]) if one.latency_ms else "" for share in ("p50", "p95", "p99", "max")
    ]
    memory = number(one.rss_mib["python"]) if one.rss_mib else ""
    timed = number(one.timed) if one.latency_ms else ""
    return (
        str(one.cell),
        str(one.cell.round),
        *map(number, figures),
        timed,
        *shares,
        memory,
        number(one.seconds),
    )
