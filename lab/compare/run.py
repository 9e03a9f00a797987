"""Measures the cells of a comparison, one after the other, on one stack."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvloop

from infra.native import Failure
from infra.native import Stack as Native
from lab import kept, prepare
from lab.anomalies.run import anomalies
from lab.at_rest import all_ended, left_prepared
from lab.audit.run import audit_stack
from lab.bench import Options, measure
from lab.compare import figures
from lab.compare import report as reports
from lab.compare.accepted import offer, outcomes, without_participant
from lab.compare.costs import costs, per_order
from lab.compare.plan import DEATHS, FEW, HARDSHIPS, MANY, READ_RATE, SKEW, Cell, loss, troubles
from lab.compare.report import Measured, Report
from lab.compare.traces import held_ms, journals, messages
from lab.crash.crash import crash
from lab.databases import LOST, connected
from lab.faults import Faults
from lab.screen import err
from lab.state import Stack, Trouble
from lab.stats import drift, summary
from lab.workload import Orders, from_now_on

IN_FLIGHT = {"saga": MANY, "2pc-group": MANY}

PILOT = {"saga": 2_000, "2pc-group": 2_000}
ALONE_PILOT = 300
"""Orders from which the rate is guessed; they warm up what the cell needs, too."""

SECONDS, LEAD_S = 6.0, 2.0
"""For how long is measured, and for how long orders come at that rate before it is."""

TURNS, MOST = 4, 20_000
"""At least so many orders for each that is in flight, or the start and the end are all there is."""

READ, READ_IN_FLIGHT = 600, 64
"""Ten seconds of orders for a reader to look at."""

WAIT_S = 30
NO_PEAK = "its peak went wrong"

Tell = Callable[[Measured, int, int, float], None]
"""Told of each cell: how many are measured, of how many, and about how many seconds are left."""


Arm = Callable[[bool], Native | None]
"""Makes the stack take faults or, for speed, not even look for them; says who supervises it, if anybody."""


def fill(report: Report, cells: Sequence[Cell], folder: Path, tell: Tell, stack: Stack, arm: Arm) -> None:
    """Measures what is left of these cells, and audits at the end, or when it is interrupted.

    What was measured on another stack that was never audited is measured again.
    """
    prepare.seed_missing(stack)
    where = uvloop.run(_identity(stack))
    reports.forget_all_but(report, where)
    todo, began = reports.left(report, cells), time.monotonic()
    done = len(cells) - len(todo)
    err.print(f"{len(todo)} of {len(cells)} runs are left.")
    if todo and (wrong := asyncio.run(_at_rest(stack))):
        raise Trouble(f"This stack is not well to begin with: {wrong[0]}")
    try:
        for at, cell in enumerate(todo, done + 1):
            started = time.monotonic()
            measured = _measured_or_not(report, cell, stack, arm)
            measured.stack = where
            measured.wrong += asyncio.run(_at_rest(stack))
            measured.seconds = round(time.monotonic() - started, 1)
            reports.keep(report, measured)
            report.paired = reports.paired(report)
            kept.write(report, folder / reports.RESULT)
            each = (time.monotonic() - began) / (at - done)
            tell(measured, at, len(cells), each * (len(cells) - at))
    finally:
        if any(one.stack == where for one in report.measured):
            reports.audited(report, where, uvloop.run(audit_stack(stack, 30.0)).violations)
            kept.write(report, folder / reports.RESULT)


async def _identity(stack: Stack) -> str:
    """What no two stacks have in common."""
    async with connected(stack, ["order"]) as databases:
        return str(await databases["order"].fetchval("SELECT system_identifier FROM pg_control_system()"))


def _measured_or_not(report: Report, cell: Cell, stack: Stack, arm: Arm) -> Measured:
    """What fails is on record; the other cells have their turn."""
    try:
        return _measure(report, cell, stack, arm)
    except (Trouble, Failure, httpx.HTTPError, *LOST) as error:
        return Measured(cell, 0.0, wrong=[str(error) or repr(error)])


def _measure(report: Report, cell: Cell, stack: Stack, arm: Arm) -> Measured:
    native = arm(cell.kind in (*HARDSHIPS, *DEATHS))
    match cell.kind:
        case "peak":
            return uvloop.run(_peak(cell, stack, report.seed + cell.round))
        case "rate":
            return uvloop.run(_rate(report, cell, stack))
        case "acknowledged":
            return uvloop.run(_acknowledged(report, cell, stack))
        case "armed" | "slow" | "lossy":
            with _faults(cell, stack, report.seed):
                return uvloop.run(_rate(report, cell, stack))
        case "readers":
            seen = anomalies(stack, cell.protocol, READ, READ_IN_FLIGHT, report.seed, READ_RATE)
            return figures.of_readers(cell, seen)
        case "participant-away":
            assert native, "without it no faults are planned"
            return figures.of_absence(
                cell, asyncio.run(without_participant(native, stack, cell.protocol, report.seed))
            )
        case _:
            assert native, "without it no faults are planned"
            return figures.of_loss(cell, asyncio.run(crash(native, stack, loss(cell))))


async def _at_rest(stack: Stack) -> list[str]:
    """What does not end although nobody orders any more. The next cell shall not pay for this one."""
    try:
        await all_ended(stack)
        return await left_prepared(stack)
    except (Trouble, *LOST) as error:
        return [str(error) or repr(error)]


async def _peak(cell: Cell, stack: Stack, seed: int) -> Measured:
    """A closed loop, after a pilot that tells how many orders fill the time."""
    pilot = await _pilot(cell, stack, seed)
    fewest = TURNS * IN_FLIGHT.get(cell.protocol, FEW)
    count = int(min(max(pilot["finished_per_s"] * SECONDS, fewest), MOST))
    work = await _orders(cell, stack, count, seed)
    before, since = await costs(stack), from_now_on()
    result = await _run(cell, stack, work)
    cost = per_order(before, await costs(stack), result["confirmed"] + result["refused"])
    found = await journals(stack, since, cell.protocol)
    if found:
        cost["messages"] = messages(found)
    return figures.of_load(cell, result, cost=cost, held_ms=held_ms(found, cell.protocol))


async def _pilot(cell: Cell, stack: Stack, seed: int) -> dict[str, Any]:
    """Processes that were just started are slow at first, by each protocol anew."""
    return await _run(cell, stack, await _orders(cell, stack, PILOT.get(cell.protocol, ALONE_PILOT), seed))


async def _rate(report: Report, cell: Cell, stack: Stack) -> Measured:
    """An open loop, at a share of the peak that was measured before."""
    rate, seed = _share_of_peak(report, cell), report.seed + cell.round
    if not rate:
        return Measured(cell, 0.0, wrong=[NO_PEAK])
    if cell.kind == "armed":
        await _pilot(cell, stack, seed)
    work = await _orders(cell, stack, _count(rate), seed)
    since = from_now_on()
    result = await _run(cell, stack, work, rate, seed, LEAD_S)
    found = await journals(stack, since, cell.protocol)
    return figures.of_load(cell, result, held_ms=held_ms(found, cell.protocol))


async def _acknowledged(report: Report, cell: Cell, stack: Stack) -> Measured:
    """As fast, but nobody waits for more than the acknowledgement."""
    rate, seed = _share_of_peak(report, cell), report.seed + cell.round
    if not rate:
        return Measured(cell, 0.0, wrong=[NO_PEAK])
    work = await _orders(cell, stack, _count(rate), seed, wait_s=0)
    offered = await offer(stack, work, rate, seed, LEAD_S)
    ends = await outcomes(stack, offered.accepted)
    return Measured(
        cell,
        0.0,
        orders=work.count,
        accepted=len(offered.accepted),
        offered_per_s=round(rate, 1),
        timed=len(offered.latencies_ms),
        drift=drift(offered.latencies_ms),
        latency_ms=summary(offered.latencies_ms) if offered.latencies_ms else {},
        **figures.ended(len(offered.accepted), ends),
    )


def _share_of_peak(report: Report, cell: Cell) -> float:
    """Orders a second; 0 when the peak is not known."""
    peak = reports.peak(report, cell.protocol)
    return max(peak.median * cell.level, 1.0) if peak else 0.0


def _count(rate: float) -> int:
    return int(max(rate * (LEAD_S + SECONDS), 30))


async def _orders(cell: Cell, stack: Stack, count: int, seed: int, wait_s: int = WAIT_S) -> Orders:
    """With all the goods and the money that they need."""
    skew, products = SKEW[cell.goods]
    work = Orders(stack, cell.protocol, count, skew=skew, products=products, wait_s=wait_s, seed=seed)
    await prepare.top_up(stack, work)
    return work


async def _run(
    cell: Cell, stack: Stack, work: Orders, rate: float | None = None, seed: int = 1, lead_s: float = 0.0
) -> dict[str, Any]:
    skew, products = SKEW[cell.goods]
    options = Options(
        cell.protocol,
        work.count,
        IN_FLIGHT.get(cell.protocol, FEW),
        skew,
        products,
        rate,
        wait_s=WAIT_S,
        seed=seed,
        lead_s=lead_s,
    )
    return await measure(stack, work, options)


@contextmanager
def _faults(cell: Cell, stack: Stack, seed: int) -> Iterator[None]:
    with Faults(stack) as faults:
        for role, some in troubles(cell, seed).items():
            faults.put(role, *some)
        yield
