"""Orders that nobody waits for: how many are accepted, how soon, and what becomes of them."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from infra.native import Stack as Native
from lab import prepare
from lab.at_rest import RECOVERED_S
from lab.client import Load, Verdict
from lab.crash.crash import watched
from lab.crash.loss import AWAY_S
from lab.databases import Connection, connected
from lab.state import Stack, Trouble
from lab.stats import arrivals
from lab.workload import Orders, address

CONNECTIONS = 2_000
AWAY, AWAY_RATE = "payment", 40.0

STATES = "select status, count(*) from orders where order_id = any($1) group by status"


class Offered(NamedTuple):
    accepted: list[UUID]
    latencies_ms: list[float]
    """From the intended start to the acknowledgement, without those that were due in the first `lead_s`."""


class Away(NamedTuple):
    """What became of orders that came while a participant was away."""

    asked: int
    accepted: int
    outcomes: Counter[str]
    in_doubt_s: float
    recovery_s: float
    """From the start of its new processes until all had ended."""


async def offer(stack: Stack, work: Orders, rate: float, seed: int, lead_s: float = 0.0) -> Offered:
    """In an open loop, each once. `work` must not wait. Raises Trouble for answers that make no sense."""
    load = Load(*address(stack), work.count, work.request, work.judge, CONNECTIONS, most_tries=1)
    await load.open(arrivals(random.Random(seed), rate, work.count, poisson=True))
    if work.complaint:
        raise Trouble(f"The shop answered what it should not: {work.complaint}")
    accepted = [UUID(order_id) for order_id in work.running.values()]
    return Offered(accepted, load.latencies_ms([Verdict.RUNNING], lead_s))


async def states(stack: Stack, orders: Sequence[UUID]) -> Counter[str]:
    """How many of them are in which state now."""
    async with connected(stack, ["order"]) as databases:
        return await _states(databases["order"], orders)


async def _states(sql: Connection, orders: Sequence[UUID]) -> Counter[str]:
    return Counter({row["status"]: row["count"] for row in await sql.fetch(STATES, orders)})


async def outcomes(stack: Stack, orders: Sequence[UUID]) -> Counter[str]:
    """How many of them are in which state, when all have ended or `RECOVERED_S` are over."""
    until = time.monotonic() + RECOVERED_S
    async with connected(stack, ["order"]) as databases:
        while True:
            found = await _states(databases["order"], orders)
            if not found["PENDING"] or time.monotonic() > until:
                return found
            await asyncio.sleep(0.1)


async def without_participant(native: Native, stack: Stack, protocol: str, seed: int) -> Away:
    """Orders come while no replica of the payment is there; then all are back."""
    work = Orders(stack, protocol, int(AWAY_RATE * AWAY_S), skew=0.0, wait_s=0, seed=seed)
    await prepare.top_up(stack, work)
    gone = [name for name in stack.ports if name.rpartition("-")[0] == AWAY]
    async with watched(stack) as doubts:
        try:
            await asyncio.to_thread(native.supervisor.stop, *gone)
            offered = await offer(stack, work, AWAY_RATE, seed)
        finally:
            back = time.monotonic()
            for name in gone:
                await asyncio.to_thread(native.supervisor.start, name)
        ends = await outcomes(stack, offered.accepted)
        recovery_s = time.monotonic() - back
        await asyncio.to_thread(native.wait_ready, *gone)
    return Away(work.count, len(offered.accepted), ends, round(doubts.longest_s, 2), round(recovery_s, 2))
