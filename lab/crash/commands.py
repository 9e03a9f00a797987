"""`tradeoff crash` and `tradeoff chaos`."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from lab import state
from lab.crash import rows, table, view
from lab.crash.crash import Result, crash, native, seeded
from lab.crash.page import page
from lab.options import VIOLATED, Json, troubles
from lab.screen import emit, out
from services.chaos.points import NAMES
from services.contract.commit import Protocol

REPORTS = Path("reports/chaos")

Mode = Literal["restart", "takeover", "pause", "pg-order", "pg-inventory", "pg-payment", "pg-orchestrator"]
BY = "By default the simplest that comes to this step."
HOW = "It dies and comes back; dies and stays away; stands still for a while; or is held while a server dies."
OWN = (
    "On a stack of its own in a temporary folder, gone afterwards; else on the running one (CHAOS=1 make up)."
)


def some_points(incomplete: str) -> list[str]:
    return [name for name in NAMES if name.startswith(incomplete)]


def crash_command(
    at: Annotated[
        str, typer.Argument(help="ROLE@POINT; without one, all are listed.", autocompletion=some_points)
    ] = "",
    protocol: Annotated[Literal["saga", Protocol] | None, typer.Option(help=BY)] = None,
    mode: Annotated[Mode, typer.Option(help=HOW)] = "restart",
    json: Json = False,
) -> None:
    """Lose a process exactly there while orders come in, watch the recovery, and audit.

    Exit code 0: nothing was lost, 1: something was, or nobody came there, 2: it could not try.
    """
    if not at:
        view.show_points()
        return
    with troubles():
        result = asyncio.run(_crash(rows.row(at, protocol, mode)))
    if json:
        emit(msgspec.to_builtins(result) | {"command": result.row.command})
    else:
        view.show(result)
    raise typer.Exit(VIOLATED if result.wrong else 0)


async def _crash(row: rows.Row) -> Result:
    stack = state.load()
    await seeded(stack)
    return await crash(native(), stack, row)


def chaos_command(
    protocols: Annotated[str, typer.Option(help="Of these, with commas between them.")] = ",".join(
        rows.PROTOCOLS
    ),
    points: Annotated[str, typer.Option(help="Steps such as payment@*,*@before-work.")] = "*",
    modes: Annotated[str, typer.Option(help="Of these.")] = ",".join(rows.MODES),
    all: Annotated[bool, typer.Option("--all", help="Every step in every mode: hours.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on with the table that is there.")] = False,
    own: Annotated[bool, typer.Option(help=OWN)] = False,
    out_folder: Annotated[Path, typer.Option("--out", help="Where the table is written.")] = REPORTS,
) -> None:
    """One row for each protocol, step and mode: what was in doubt, what recovered, what was lost.

    Every row is written to result.json at once, and to index.html. Exit code 1: something was lost.
    """
    with troubles():
        chosen = rows.select(
            rows.every() if all else rows.CHOSEN, protocols.split(","), points.split(","), modes.split(",")
        )
        command = (
            f"tradeoff chaos --protocols {protocols} --points '{points}' --modes {modes}" + " --all" * all
        )
        filled = table.begun(out_folder, command, resume=resume)
        out.print(f"{len(table.left(filled, chosen))} rows of {len(chosen)}")
        try:
            table.run(filled, chosen, out_folder, view.show_row, own=own)
        finally:
            if filled.rows:
                (out_folder / table.PAGE).write_text(page(filled), encoding="utf-8")
    view.show_table(filled, str(out_folder / table.PAGE))
    raise typer.Exit(VIOLATED if filled.failed else 0)
