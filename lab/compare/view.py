"""A comparison on a terminal."""

from collections.abc import Callable
from functools import partial

from rich import box
from rich.markup import escape
from rich.table import Table

from lab.compare import report as reports
from lab.compare.chart import number
from lab.compare.plan import LEVELS, SKEW
from lab.compare.report import Measured, Report, Spread
from lab.screen import err, out
from lab.workload import PROTOCOLS


def show_cell(measured: Measured, number_: int, of: int, left_s: float) -> None:
    told = f"{measured.finished_per_s:,.0f} a second" if measured.finished_per_s else ""
    told = f"recovered in {measured.recovery_s:.1f} s" if measured.recovery_s else told
    err.print(
        f"{number_:3} of {of}  {escape(str(measured.cell))}: {told}  [dim]{left_s / 60:.0f} min left[/]"
    )
    for words in measured.wrong[:3]:
        err.print(f"  [red]{escape(words)}[/]")


def show(report: Report, where: str) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for title in (
        "protocol",
        *(f"{goods}, finished/s" for goods in SKEW),
        "p50 / p99 ms",
        "doubt / recovery s",
    ):
        table.add_column(title, justify="left" if title == "protocol" else "right")
    for protocol in PROTOCOLS:
        peaks = [_median(reports.peak(report, protocol, goods)) for goods in SKEW]
        p50, p99 = (_median(reports.latency(report, protocol, LEVELS[1], share)) for share in ("p50", "p99"))
        died = reports.of(report, "coordinator-dies", protocol)
        doubt = f"{died[0].in_doubt_s:.1f} / {died[0].recovery_s:.1f}" if died else "-"
        table.add_row(protocol, *peaks, f"{p50} / {p99}", doubt)
    out.print(table)
    out.print(f"Latency at {LEVELS[1]:.0%} of each protocol's own peak; doubt when the orchestrator dies.")
    violations = report.audit_violations
    if violations is None:
        out.print("[yellow]not audited[/]")
    else:
        out.print(f"[red]{violations} violations[/]" if violations else "[green]audit: no violation[/]")
    out.print(f"The page: {where}")


def show_against(report: Report, old: Report) -> None:
    """What changed since, of what both have measured."""
    table = Table(title=_plain(f"since {old.began}"), title_justify="left", box=box.SIMPLE_HEAD)
    for title in ("", "then", "now", "now / then"):
        table.add_column(title, justify="right" if title else "left")
    for what, value in CHANGES.items():
        for protocol in PROTOCOLS:
            then, now = (value(one, protocol) for one in (old, report))
            if then and now and then.median:
                ratio = f"{now.median / then.median:.2f}"
                table.add_row(f"{protocol}, {what}", _range(then), _range(now), ratio)
    out.print(table)
    if old.machine != report.machine or old.command != report.command:
        out.print(f"[yellow]Not alike: {_plain(old.machine)}, {_plain(old.command)}; now:[/]")
        out.print(f"[yellow]{_plain(report.machine)}, {_plain(report.command)}[/]")
    out.print(
        "What lies between the least and the most of the other, in brackets, may be the machine's mood; of "
        "one round nobody knows it. Latency is at what was offered, which changes with the peak."
    )


CHANGES: dict[str, Callable[[Report, str], Spread | None]] = {
    **{f"{goods}: finished a second": partial(reports.peak, goods=goods) for goods in SKEW},
    "microseconds of CPU an order": partial(reports.of_an_order, kind="cpu"),
    f"offered a second at {LEVELS[1]:.0%} of the peak": partial(reports.offered, level=LEVELS[1]),
    "p50 ms then": partial(reports.latency, level=LEVELS[1], share="p50"),
    "p99 ms then": partial(reports.latency, level=LEVELS[1], share="p99"),
}


def _plain(words: str) -> str:
    """Neither rich's markup nor the terminal's: somebody else may have written it."""
    return escape("".join(letter for letter in words if letter.isprintable()))


def _median(value: Spread | None) -> str:
    return number(value.median) if value else "-"


def _range(value: Spread) -> str:
    return f"{number(value.median)} ({number(value.least)}-{number(value.most)})"
