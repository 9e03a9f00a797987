"""The benchmark: so many orders, how fast, at which cost, beside the floor, and audited afterwards."""

import asyncio
import os
import random
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import uvloop

from lab import floor, floor_commit, history, prepare, processes
from lab.audit.run import audit_stack
from lab.client import TRIES, Answer, Load, Verdict
from lab.history import Recorder
from lab.screen import progress
from lab.shop import ENDED
from lab.state import Stack, Trouble
from lab.stats import arrivals, drift, summary
from lab.workload import BUSY, PRODUCTS, Orders, address

WARM_UP = (200, 2_000)  # at least, at most; a tenth of the orders in between
OPEN_LOOP_CONNECTIONS = 2_000
FLOOR_ORDERS = (5_000, 30_000)
LATE_S = 60.0  # how long orders are waited for that were still running when their answer came
POLLS_AT_ONCE = 16
REPEATED = 500  # requests of a history that are asked once more when all is over
CLIENT = "client"
FINAL = Load.FINAL


@dataclass(frozen=True, slots=True)
class Options:
    """`rate` None: a closed loop of `in_flight`; otherwise so many orders a second, come what may.

    `tries`: how often a request is sent before its outcome counts as unknown. `lead_s`: orders that are due
    earlier have no part in the latency.
    """

    protocol: str
    orders: int
    in_flight: int
    skew: float = 0.0
    products: int = PRODUCTS
    rate: float | None = None
    poisson: bool = True
    wait_s: int = 30
    warm_up: int | None = None
    floor: bool = True
    audit: bool = True
    history: Path | None = None
    tries: int = TRIES
    seed: int = 1
    lead_s: float = 0.0

    @property
    def warm_up_orders(self) -> int:
        if self.warm_up is not None:
            return self.warm_up
        return min(max(self.orders // 10, WARM_UP[0]), WARM_UP[1])


def bench(stack: Stack, options: Options) -> dict[str, Any]:
    """Everything that `--json` prints."""
    prepare.seed_missing(stack)
    return uvloop.run(_bench(stack, options))


async def _bench(stack: Stack, options: Options) -> dict[str, Any]:
    work = _orders(stack, options, options.orders, options.seed)
    warm_up = _orders(stack, options, options.warm_up_orders, options.seed + 1)
    for orders in (work, warm_up):
        await prepare.top_up(stack, orders)
    if warm_up.count:
        await _run(stack, warm_up, options, "warming up", None)
    await prepare.analyze(stack)
    with history.writing(options.history) if options.history else nullcontext() as put:
        result = await measure(stack, work, options, Recorder(work, put) if put else None)
    result["floor_per_s"] = await _floor(stack, options) if options.floor else None
    told = history.load(options.history) if options.history else None
    report = await audit_stack(stack, 30.0, told) if options.audit else None
    result["audit_violations"] = report.violations if report else None
    return result


def _orders(stack: Stack, options: Options, count: int, seed: int) -> Orders:
    return Orders(
        stack,
        options.protocol,
        count,
        skew=options.skew,
        products=options.products,
        wait_s=options.wait_s,
        seed=seed,
    )


async def measure(
    stack: Stack, work: Orders, options: Options, recorder: Recorder | None = None
) -> dict[str, Any]:
    """The run itself: outcomes, rate, latency, CPU and memory."""
    parts = processes.listeners(stack.listeners()) | {CLIENT: os.getpid()}
    before = processes.usage(parts)
    load = await _run(stack, work, options, f"ordering by {options.protocol}", options.rate, recorder)
    after = processes.usage(parts)
    late = len(work.running)
    await _resolve(stack, load, work, recorder)
    if recorder:
        await _repeat(stack, load, work, recorder)
    result = _outcomes(load, work, options.lead_s) | {
        "protocol": options.protocol,
        "late": late,
        "in_flight": None if options.rate else options.in_flight,
        "rate": options.rate,
        "skew": options.skew,
        "products": options.products,
    }
    python = [name for name in stack.ports if name in parts]
    rss = dict(after.rss_mib)
    return result | {
        "cpu_us_per_order": processes.spent(before, after, python, result["confirmed"] + result["refused"]),
        "rss_mib": rss | {processes.PYTHON: round(sum(rss.get(name, 0.0) for name in python), 1)},
    }


def _outcomes(load: Load, work: Orders, lead_s: float) -> dict[str, Any]:
    outcomes = Counter(load.verdicts)
    confirmed, refused = (outcomes[verdict] for verdict in FINAL)
    finished = confirmed + refused
    ends = [load.ended[n] for n in range(work.count) if load.verdicts[n] in FINAL]
    seconds = max(ends) - min(filter(None, load.began)) if ends else 0.0
    if work.complaint or (load.broken and not finished):
        raise Trouble(f"The shop answered what it should not: {work.complaint or load.broken}")
    latencies = load.latencies_ms(lead_s=lead_s)
    return {
        "orders": work.count,
        "confirmed": confirmed,
        "refused": refused,
        "unfinished": work.count - finished,
        "retried": load.retried,
        "seconds": round(seconds, 3),
        "finished_per_s": round(finished / seconds, 1) if seconds else 0.0,
        "floor_per_s": None,
        "timed": len(latencies),
        "drift": drift(latencies),
        "latency_ms": summary(latencies),
        "audit_violations": None,
    }


async def _run(
    stack: Stack,
    work: Orders,
    options: Options,
    title: str,
    rate: float | None,
    recorder: Recorder | None = None,
) -> Load:
    def record(job: int, sent: float, answer: Answer | None) -> None:
        assert recorder
        recorder.placed(job, load.began[job], sent, answer)

    load = Load(
        *address(stack),
        work.count,
        work.request,
        work.judge,
        OPEN_LOOP_CONNECTIONS if rate else options.in_flight,
        record if recorder else None,
        options.tries,
    )
    with progress(title, work.count) as advance:
        if rate:
            starts = arrivals(random.Random(options.seed), rate, work.count, poisson=options.poisson)
            await load.open(starts, advance)
        else:
            await load.closed(options.in_flight, advance)
    return load


async def _repeat(stack: Stack, load: Load, work: Orders, recorder: Recorder) -> None:
    """Some of the requests that were answered, once more, with the same keys: what do they hear now?"""
    answered = [n for n in range(work.count) if load.verdicts[n] in (*FINAL, Verdict.RUNNING)]
    again = answered[:: max(1, len(answered) // REPEATED)]

    def judge(_: int, answer: Answer) -> Verdict:
        return Verdict.AGAIN if answer.status in BUSY else Verdict.CONFIRMED

    def record(at: int, sent: float, answer: Answer | None) -> None:
        recorder.placed(again[at], repeated.began[at], sent, answer)

    repeated = Load(
        *address(stack), len(again), lambda at: work.request(again[at]), judge, POLLS_AT_ONCE, record
    )
    await repeated.closed(POLLS_AT_ONCE)


async def _resolve(stack: Stack, load: Load, work: Orders, recorder: Recorder | None) -> None:
    """Asks for the orders that were accepted but not finished, until they are or time is up."""
    deadline = time.perf_counter() + LATE_S
    turn = asyncio.Semaphore(POLLS_AT_ONCE)
    async with httpx.AsyncClient(base_url=stack.public_url, trust_env=False, timeout=10) as http:

        async def ask(job: int, order_id: str) -> bool:
            async with turn:
                sent = time.perf_counter()
                try:
                    answer = await http.get(f"/orders/{order_id}")
                    status = answer.json().get("status")
                except (httpx.HTTPError, ValueError):
                    return False
            if recorder:
                recorder.read(job, sent, answer.status_code, answer.content)
            if status in ENDED:
                load.ended[job] = time.perf_counter()
                load.verdicts[job] = Verdict.REFUSED if status == "REFUSED" else Verdict.CONFIRMED
            return status in ENDED

        left = dict(work.running)
        while left and time.perf_counter() < deadline:
            ended = await asyncio.gather(*(ask(job, order_id) for job, order_id in left.items()))
            left = {job: id_ for (job, id_), over in zip(left.items(), ended, strict=True) if not over}
            await asyncio.sleep(0.05 if left else 0)


async def _floor(stack: Stack, options: Options) -> float:
    count = min(max(options.orders, FLOOR_ORDERS[0]), FLOOR_ORDERS[1])
    size = floor_commit.ORDERS_IN_A_TRANSACTION.get(options.protocol)
    write = partial(floor_commit.write, size=size) if size else floor.write_saga
    with progress("measuring the floor", count) as advance:
        return round(await floor.run(stack, count, advance, write), 1)
