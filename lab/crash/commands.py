"""`tradeoff crash`, `tradeoff chaos` and `tradeoff soak`."""

import asyncio
import math
from itertools import count
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from lab import state
from lab.crash import rows, table, view
from lab.crash.crash import Result, crash
from lab.crash.page import page
from lab.crash.soak import Outcome, soak
from lab.options import VIOLATED, Json, troubles
from lab.screen import emit, out
from lab.stacks import MOST, among_containers, keeper, seeded, stack_of
from lab.state import Trouble
from lab.workload import PROTOCOLS
from services.chaos.points import NAMES
from services.contract.commit import Protocol

REPORTS, SOAKED = Path("reports/chaos"), Path("reports/soak")
ROUNDS = "rounds.jsonl"

Mode = Literal[
    "restart",
    "takeover",
    "pause",
    "away",
    "pg-order",
    "pg-inventory",
    "pg-payment",
    "pg-orchestrator",
    "partition",
]
BY = "By default the simplest that comes to this step."
HOW = (
    "It dies and comes back; dies and stays away; stands still for a while; dies with all of its role; "
    "is held while a server dies; or is cut off."
)
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
    if among_containers(stack) and row.mode != rows.ALONE:
        raise Trouble(f"Among containers one can only die by itself: --mode {rows.ALONE}.")
    await seeded(stack)
    return await crash(keeper(stack), stack, row)


def chaos_command(
    protocols: Annotated[str, typer.Option(help="Of these, with commas between them.")] = ",".join(PROTOCOLS),
    points: Annotated[str, typer.Option(help="Steps such as payment@*,*@before-work.")] = "*",
    modes: Annotated[str, typer.Option(help="Of these.")] = ",".join(rows.MODES),
    all: Annotated[bool, typer.Option("--all", help="Every step in every mode: hours.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on with the table that is there.")] = False,
    own: Annotated[bool, typer.Option(help=OWN)] = False,
    stacks: Annotated[int, typer.Option(min=1, max=MOST, help="So many of its own share the rows.")] = 1,
    out_folder: Annotated[Path, typer.Option("--out", help="Where the table is written.")] = REPORTS,
) -> None:
    """One row for each protocol, step and mode: what was in doubt, what recovered, what was lost.

    Every row is written to result.json at once, and to index.html. Exit code 1: something was lost.
    """
    with troubles():
        if stacks > 1 and not own:
            raise Trouble("There is one running stack. Several of its own: --own.")
        chosen = rows.select(
            rows.every() if all else rows.CHOSEN, protocols.split(","), points.split(","), modes.split(",")
        )
        if not own and among_containers(state.load()):
            chosen = [row for row in chosen if row.mode == rows.ALONE]
            out.print("Among containers one can only die by itself, and Docker starts it again.")
        command = (
            f"tradeoff chaos --protocols {protocols} --points '{points}' --modes {modes}" + " --all" * all
        )
        filled = table.begun(out_folder, command, resume=resume)
        out.print(f"{len(table.left(filled, chosen))} rows of {len(chosen)}")
        try:
            table.run(filled, chosen, out_folder, view.show_row, own=own, stacks=stacks)
        finally:
            if filled.rows:
                (out_folder / table.PAGE).write_text(page(filled), encoding="utf-8")
    view.show_table(filled, str(out_folder / table.PAGE))
    raise typer.Exit(VIOLATED if filled.failed else 0)


def soak_command(
    seed: Annotated[int, typer.Option(min=0, help="Of the first round; each next round's is one more.")] = 1,
    rounds: Annotated[int | None, typer.Option(min=1, help="So many, however long they take.")] = None,
    minutes: Annotated[float, typer.Option(min=0, help="No round begins later.")] = 60.0,
    own: Annotated[bool, typer.Option(help=OWN)] = False,
    out_folder: Annotated[Path, typer.Option("--out", help="Where a line for each round is added.")] = SOAKED,
) -> None:
    """Anything may happen to anybody, two and three things at a time, under load, by any protocol.

    A seed says what happens in a round, and repeats it. Exit code 1: something was lost.
    """
    seeds = range(seed, seed + rounds) if rounds else count(seed)
    failed: list[Outcome] = []
    out_folder.mkdir(parents=True, exist_ok=True)
    with troubles(), stack_of(own=own) as (stack, its), (out_folder / ROUNDS).open("ab") as file:

        def keep(outcome: Outcome) -> None:
            file.write(msgspec.json.encode(outcome) + b"\n")
            file.flush()
            view.show_round(outcome)
            if outcome.wrong:
                failed.append(outcome)

        asyncio.run(soak(its, stack, seeds, math.inf if rounds else minutes, keep))
    view.show_soak(failed)
    raise typer.Exit(VIOLATED if failed else 0)
