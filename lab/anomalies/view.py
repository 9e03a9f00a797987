"""What readers saw, for people."""

from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from lab.audit.view import counted
from lab.screen import out


def show(result: dict[str, Any]) -> None:
    orders, reads = counted(result["orders"], "order"), counted(result["reads"], "read")
    out.print(
        f"{orders} by [bold]{result['protocol']}[/]: {result['confirmed']:,} confirmed,"
        f" {result['refused']:,} refused. Meanwhile {reads} of all three databases,"
        f" {result['read_ms']['p50']:.0f} ms each."
    )
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("reader", "fractured: orders", "in reads", "dirty: orders", "left out"):
        table.add_column(column, justify="left" if column == "reader" else "right")
    for name, told in result["readers"].items():
        fractured, dirty = told["fractured"], told["dirty"]
        counts = (fractured["orders"], fractured["reads"], dirty["orders"], told["left_out"])
        table.add_row(name, *(f"{count:,}" for count in counts))
    out.print(table)
    for name, told in result["readers"].items():
        for kind in ("fractured", "dirty"):
            _show_kind(name, kind, told[kind])
    off = result["sums_off"]
    out.print(f"Sums that were off: money in {off['payment']} reads, stock in {off['inventory']}.")
    if result["violations"]:
        words = f"{result['violations']:,} of these should not be possible under {result['protocol']}."
        out.print(f"[red]{words}[/]")


def _show_kind(reader: str, kind: str, told: dict[str, Any]) -> None:
    for words, count in told["seen"].items():
        out.print(f"  {reader}, {kind}: {words}: {counted(count, 'time')}")
    if told["examples"]:
        out.print(f"    such as {escape(told['examples'][0])}")
