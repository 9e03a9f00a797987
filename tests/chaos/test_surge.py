"""Far more orders than can be finished: what is accepted ends well, and the others hear no at once."""

import os
import random
from uuid import UUID

import httpx
import pytest

from lab.audit.run import audit_stack
from lab.bench import Options, measure
from lab.client import Answer, Load, Verdict
from lab.compare.accepted import states
from lab.databases import connected
from lab.state import Stack as Told
from lab.stats import arrivals
from lab.workload import Orders, address
from tests.e2e.shopper import eventually, order
from tests.e2e.witness import report

PEAK = {"saga": (4_000, 1_024), "3pc": (300, 256)}
"""So many orders, so many in flight: enough to see what is the most that the shop finishes."""

TIMES, SECONDS = 5, 8.0
ENDED_S = 55.0
"""All of what was accepted ends before its deadline would undo it."""

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("seeded")]


@pytest.mark.parametrize("protocol", PEAK if os.environ.get("STORMS_ALL") else ["saga"])
async def test_five_times_the_peak_is_refused_at_the_door(
    told: Told, shop: httpx.AsyncClient, capsys: pytest.CaptureFixture[str], protocol: str
) -> None:
    count, in_flight = PEAK[protocol]
    work = Orders(told, protocol, count, skew=0.0, wait_s=30, seed=1)
    peak = (await measure(told, work, Options(protocol, count, in_flight)))["finished_per_s"]

    rate = TIMES * peak
    offered = Orders(told, protocol, int(rate * SECONDS), skew=0.0, wait_s=0, seed=2)
    accepted, turned_away = await offer(told, offered, rate)
    assert accepted and turned_away
    await eventually(lambda: states(told, accepted), {"CONFIRMED": len(accepted)}, ENDED_S)
    answer = await order(shop, "customer-000001", {"sku-000001": 1}, protocol=protocol)
    assert answer.status_code == 201
    assert (await audit_stack(told, 60.0)).findings == []
    report(
        capsys,
        f"{protocol}, {peak:,.0f} a second in a closed loop, offered {rate:,.0f} for {SECONDS:g} s",
        f"{len(accepted):,} accepted, all confirmed, {await finished_per_s(told, accepted):,.0f} a second; "
        f"{turned_away:,} turned away",
    )


async def offer(told: Told, work: Orders, rate: float) -> tuple[list[UUID], int]:
    """The orders that were accepted, and how many were turned away, all of them told when to come again."""
    turned_away = 0

    def judge(job: int, answer: Answer) -> Verdict:
        nonlocal turned_away
        if answer.status == 429:
            assert answer.retry_after_s >= 1
            turned_away += 1
            return Verdict.FAILED
        return work.judge(job, answer)

    load = Load(*address(told), work.count, work.request, judge, connections=2_000)
    await load.open(arrivals(random.Random(2), rate, work.count, poisson=True))
    assert work.complaint == ""
    return [UUID(order_id) for order_id in work.running.values()], turned_away


async def finished_per_s(told: Told, orders: list[UUID]) -> float:
    took = "SELECT extract(epoch FROM max(ended_at) - min(created_at)) FROM orders WHERE order_id = ANY($1)"
    async with connected(told, ["order"]) as databases:
        return len(orders) / float(await databases["order"].fetchval(took, orders))
