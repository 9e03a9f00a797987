"""A benchmark's result, for people."""

from typing import Any

from rich import box
from rich.table import Table

from lab.audit.view import counted
from lab.processes import PYTHON
from lab.screen import out

SHOWN = ("p50", "p95", "p99", "max")


def show(result: dict[str, Any], *, profile: bool) -> None:
    latency = result["latency_ms"]
    title = f"{result['orders']:,} orders by {result['protocol']}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    rows = [
        ("finished a second", f"[bold]{result['finished_per_s']:,.0f}[/]"),
        ("the floor: the same rows, no coordination", _floor(result)),
        (
            "confirmed / refused / unfinished",
            f"{result['confirmed']:,} / {result['refused']:,} / {result['unfinished']:,}",
        ),
        (f"latency {' / '.join(SHOWN)}, ms", " / ".join(f"{latency[share]:,.1f}" for share in SHOWN)),
        ("load", _load(result)),
        ("retried (429, 5xx, lost connections)", f"{result['retried']:,}"),
        ("stack's Python processes together", f"{result['rss_mib'].get(PYTHON, 0):,.0f} MiB"),
        ("audit", _audit(result["audit_violations"])),
    ]
    for row in rows:
        table.add_row(*row)
    out.print(table)
    if profile:
        _profile(result)


def _floor(result: dict[str, Any]) -> str:
    floor = result["floor_per_s"]
    return "not measured" if not floor else f"{floor:,.0f} ({result['finished_per_s'] / floor:.0%} of it)"


def _load(result: dict[str, Any]) -> str:
    how = f"{result['rate']:g} a second" if result["rate"] else f"{result['in_flight']} in flight"
    return how + (f", skew {result['skew']:g}" if result["skew"] else "")


def _audit(violations: int | None) -> str:
    if violations is None:
        return "not run"
    return (
        f"[red]{counted(violations, 'violation')}[/]: tradeoff audit"
        if violations
        else "[green]no violation[/]"
    )


def _profile(result: dict[str, Any]) -> None:
    """Where a finished order's CPU time went; `python` is the sum of the stack's own processes."""
    cost, memory = result["cpu_us_per_order"], result["rss_mib"]
    total = sum(spent for name, spent in cost.items() if name != PYTHON) or 1
    table = Table(
        title="where the CPU time of a finished order goes", title_justify="left", box=box.SIMPLE_HEAD
    )
    table.add_column("part")
    for title in ("µs an order", "share", "MiB"):
        table.add_column(title, justify="right")
    for name, spent in sorted(cost.items(), key=lambda item: -item[1]):
        label = "all Python processes of the stack" if name == PYTHON else name
        table.add_row(label, f"{spent:,}", f"{spent / total:.0%}", f"{memory.get(name, 0):,.0f}")
    table.add_section()
    table.add_row("everything", f"{total:,}", "100%", "")
    out.print(table)
