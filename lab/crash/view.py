"""Rows and tables of losses, for a terminal."""

from collections.abc import Sequence

from rich.markup import escape

from lab.crash.crash import Result
from lab.crash.rows import MODES, listed
from lab.crash.soak import Outcome
from lab.crash.table import Table
from lab.screen import out
from lab.workload import PROTOCOLS

SAYS = {
    "restart": "dies and is started again",
    "takeover": "dies and stays away",
    "away": "dies, and all others like it, and they stay away",
    "pause": "stands still (SIGSTOP), then goes on",
    "partition": "goes on in a network in two parts",
}


def show_points() -> None:
    out.print("A step is ROLE@POINT. By a commit:")
    for role, (commits, sagas) in listed().items():
        out.print(f"  [bold]{role}@[/] {', '.join(commits)}")
        out.print(f"  [dim]by a saga[/] {', '.join(sagas)}\n")
    out.print(f"Protocols: {', '.join(PROTOCOLS)}. Modes: {', '.join(MODES)}.")


def line(result: Result) -> str:
    what = SAYS.get(result.mode, f"is held while {result.mode} dies")
    split = f", {result.split} split, found by the audit and cancelled" if result.split else ""
    return (
        f"{result.protocol:9} who comes to {result.at} {what}: "
        f"in doubt {result.in_doubt_s:.1f} s, recovered in {result.recovery_s:.1f} s, "
        f"{result.acknowledged} orders, {result.repeated} repeated{split}"
    )


def show(result: Result) -> None:
    verdict = "[red]LOST[/]" if result.wrong else "[green]nothing lost[/]"
    out.print(f"{verdict}  {line(result)}")
    for words in result.wrong[:5]:
        out.print(f"  [red]{escape(words)}[/]")
    if result.wrong:
        out.print(f"  once more: [bold]{result.row.command}[/]")


def show_row(result: Result, number: int, of: int, left_s: float) -> None:
    show(result)
    out.print(f"  [dim]{number} of {of}, about {left_s / 60:.0f} min left[/]")


def show_round(outcome: Outcome) -> None:
    verdict = "[red]LOST[/]" if outcome.wrong else "[green]nothing lost[/]"
    split = f", {outcome.split} split by three-phase commit, found and cancelled" if outcome.split else ""
    out.print(
        f"{verdict}  {escape(outcome.told)}: {outcome.acknowledged} orders, {outcome.repeated} repeated, "
        f"all well {outcome.ended_s:.1f} s later{split}"
    )
    for words in outcome.wrong[:5]:
        out.print(f"  [red]{escape(words)}[/]")


def show_soak(failed: Sequence[Outcome]) -> None:
    for outcome in failed:
        out.print(f"[red]lost[/] by seed {outcome.seed}; once more: [bold]{outcome.command}[/]")
    lost = f"[red]{len(failed)} rounds lost something[/]"
    out.print(lost if failed else "[green]No round lost anything.[/]")


def show_table(table: Table, where: str) -> None:
    for protocol in PROTOCOLS:
        if mine := [result for result in table.rows if result.protocol == protocol]:
            doubt, slow = (
                max(mine, key=lambda result: result.in_doubt_s),
                max(mine, key=lambda result: result.recovery_s),
            )
            out.print(
                f"{protocol:9} {len(mine)} rows; longest in doubt {doubt.in_doubt_s:.1f} s ({doubt.at}, "
                f"{doubt.mode}); slowest recovery {slow.recovery_s:.1f} s ({slow.at}, {slow.mode})"
            )
    lost = len(table.failed)
    out.print(f"[red]{lost} rows lost something[/]" if lost else "[green]No row lost anything.[/]")
    out.print(f"The table: {where}")
