"""The audit's report, for people: ten promises, and for each broken one who breaks it."""

from rich import box
from rich.markup import escape
from rich.table import Table

from lab.audit.promises import PROMISES
from lab.audit.run import EXAMPLES, Report
from lab.screen import out


def show(report: Report) -> None:
    told = report.as_json()
    table = Table(title=f"Audit of {report.orders:,} orders", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("", "promise", "broken by"):
        table.add_column(column)
    for number, check in enumerate(told["checks"], 1):
        count = check["violations"]
        mark = "[red]✗[/]" if count else "[green]✓[/]"
        promise = f"{number:2}. {PROMISES[check['name']].says}"
        table.add_row(mark, promise, f"[red]{count:,}[/]" if count else "none")
    out.print(table)
    for check in told["checks"]:
        if check["violations"]:
            out.print(f"\n[red]{check['name']}[/]  [dim]{escape(PROMISES[check['name']].looks_at)}[/]")
            for words in check["examples"]:
                out.print(f"  {escape(words)}")
            if check["violations"] > EXAMPLES:
                out.print(f"  … and {check['violations'] - EXAMPLES:,} more")
    out.print(
        "\n[green]No violation.[/]"
        if not report.violations
        else f"\n[red]{report.violations:,} violations.[/]"
    )
