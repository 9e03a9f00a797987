"""The audit's report, for people: the promises, and for each broken one who breaks it."""

from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from lab.audit.promises import ALL
from lab.audit.run import EXAMPLES, Report
from lab.screen import out


def show(report: Report) -> None:
    told = report.as_json()
    table = Table(
        title=f"Audit of {counted(report.orders, 'order')}", title_justify="left", box=box.SIMPLE_HEAD
    )
    for column in ("", "promise", "broken by"):
        table.add_column(column)
    for number, check in enumerate(told["checks"], 1):
        count = check["violations"]
        mark = "[red]✗[/]" if count else "[green]✓[/]"
        table.add_row(mark, _heading(number, check), f"[red]{count:,}[/]" if count else "none")
    out.print(table)
    if report.told is not None:
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in report.told.items())
        out.print(f"compared with {counted(sum(report.told.values()), 'request')} of a history: {counts}")
    for number, check in enumerate(told["checks"], 1):
        if check["violations"]:
            looks_at = escape(ALL[check["name"]].looks_at)
            out.print(f"\n[red]{_heading(number, check)}[/]  [dim]{looks_at}[/]")
            for words in check["examples"]:
                out.print(f"  {escape(words)}")
            if check["violations"] > EXAMPLES:
                out.print(f"  … and {check['violations'] - EXAMPLES:,} more")
    out.print(
        f"\n[red]{counted(report.violations, 'violation')}.[/]"
        if report.violations
        else "\n[green]No violation.[/]"
    )


def counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def _heading(number: int, check: dict[str, Any]) -> str:
    return f"{number:2}. {ALL[check['name']].says}"
