"""`tradeoff compare`."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop
from redis.asyncio import Redis

from infra.native import Stack as Native
from lab.compare import plan, report, run, view
from lab.compare.page import page, pictures
from lab.databases import connected
from lab.faults import Faults
from lab.kept import machine, revision
from lab.options import VIOLATED, troubles
from lab.screen import err
from lab.stacks import arm, running_alone, stack_of
from lab.state import Stack, Trouble

REPORTS = Path("reports/compare")

ROUNDS = "How often peaks and latencies are measured, the protocols by turns."
SHORT = "One round, and less of everything: five minutes or so."
OWN = "On a stack of its own in a temporary folder, gone afterwards; else on the running one."
RESUME = "Go on with the result that is there; of one that is finished only show it."
AGAINST = "Another result.json: show what changed since."


def compare_command(
    rounds: Annotated[int, typer.Option(min=1, max=20, help=ROUNDS)] = 3,
    short: Annotated[bool, typer.Option("--short", help=SHORT)] = False,
    own: Annotated[bool, typer.Option(help=OWN)] = False,
    resume: Annotated[bool, typer.Option(help=RESUME)] = False,
    against: Annotated[Path | None, typer.Option(help=AGAINST)] = None,
    seed: Annotated[int, typer.Option(help="Of who orders what, and when.")] = 1,
    out_folder: Annotated[Path, typer.Option("--out", help="Where the page is written.")] = REPORTS,
) -> None:
    """Saga, 2PC, 2PC in groups and 3PC beside one another: speed, cost, faults, what readers see; a page.

    Faults need --own, or a stack that takes them (CHAOS=1 make up) and is slower for it.
    Exit code 1: something was lost.
    """
    with troubles():
        _writable(out_folder)
        old = report.read(against) if against else None
        extent = "--short" if short else f"--rounds {rounds}"
        command = " ".join(["tradeoff compare", *(["--own"] if own else []), extent, f"--seed {seed}"])
        filled = begun(out_folder / report.RESULT, command) if resume else None
        if not filled or not report.is_complete(filled):
            with stack_of(own=True) if own else running_alone() as (stack, its):
                faults = own or (its is not None and _takes_faults(stack))
                cells = plan.plan(rounds, short=short, faults=faults)
                versions = uvloop.run(_versions(stack))
                filled = filled or report.begun(command, seed, versions, len(cells))
                must_be_with(filled, versions)
                _fill(filled, cells, stack, its, out_folder, own=own)
        else:
            _write(filled, out_folder)
    view.show(filled, str(out_folder / report.PAGE))
    if old:
        view.show_against(filled, old)
    raise typer.Exit(exit_code(filled))


def exit_code(filled: report.Report) -> int:
    """Whether all was well, and is known to be."""
    well = filled.audit_violations == 0 and not any(one.wrong for one in filled.measured)
    return 0 if well else VIOLATED


def begun(path: Path, command: str) -> report.Report:
    """Raises Trouble, if it cannot be gone on with."""
    found = report.read(path)
    if found.command != command:
        raise Trouble(f"That one was begun by `{found.command}`, and goes on only by the same.")
    if found.machine != machine():
        raise Trouble(f"That one was begun on {found.machine}; this is {machine()}.")
    return found


def _fill(
    filled: report.Report,
    cells: Sequence[plan.Cell],
    stack: Stack,
    its: Native | None,
    folder: Path,
    *,
    own: bool,
) -> None:
    def armed(wanted: bool) -> Native | None:
        if own and its:
            arm(its, armed=wanted)
        return its

    try:
        run.fill(filled, cells, folder, view.show_cell, stack, armed)
    except BaseException:
        err.print(f"{len(filled.measured)} of {len(cells)} runs are kept in {folder}. Go on: --resume")
        raise
    finally:
        if filled.measured:
            _write(filled, folder)


def must_be_with(filled: report.Report, versions: dict[str, str]) -> None:
    """Or it would be a comparison of different code. Raises Trouble."""

    def told(some: dict[str, str]) -> str:
        return ", ".join(f"{name} {version}" for name, version in some.items())

    if filled.versions != versions:
        raise Trouble(f"That one was begun with {told(filled.versions)}; this is {told(versions)}.")


def _writable(folder: Path) -> None:
    """Raises Trouble, before a long time is spent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise Trouble(f"Cannot write to {folder} ({error.strerror}): choose another, --out") from None


def _write(filled: report.Report, folder: Path) -> None:
    for name, text in files(filled).items():
        (folder / name).write_text(text, encoding="utf-8")


def files(filled: report.Report) -> dict[str, str]:
    """What is written beside `result.json`, by name."""
    schema = msgspec.json.format(msgspec.json.encode(msgspec.json.schema(report.Report))).decode()
    return {report.PAGE: page(filled), report.SCHEMA_FILE: schema, **pictures(filled)}


def _takes_faults(stack: Stack) -> bool:
    try:
        with Faults(stack) as faults:
            faults.put("order")
    except Trouble as trouble:
        err.print(f"Without faults: {trouble}")
        return False
    return True


async def _versions(stack: Stack) -> dict[str, str]:
    """Of whom tells. Kafka's and nginx's are pinned."""
    async with connected(stack, ["order"]) as databases:
        postgres = await databases["order"].fetchval("show server_version")
    async with Redis.from_url(stack.redis_url) as redis:
        told = await redis.info("server")
    ours = {"Tradeoff": commit} if (commit := revision()) else {}
    return ours | {"PostgreSQL": str(postgres).split()[0], "Redis": told["redis_version"]}
