"""Three-phase commit under a partition, on the running stack: it splits, and the audit finds and names it.

The schedule is the explorer's shortest (`tests/exhaustive/test_every_three_phase_world.py`). In the second
variant the coordinators die, too, and the participants of each side finish alone.
"""

import asyncio
from functools import partial
from typing import Any

import httpx
import pytest

from infra.native import Stack
from lab.audit import promises
from lab.audit.run import audit_stack
from lab.doubt import in_doubt
from lab.faults import Faults, point
from lab.state import Stack as Told
from tests.e2e.shopper import balance_of, eventually, new_customer, new_product, order, status_of, stock_of

ORCHESTRATORS = ("orchestrator-1", "orchestrator-2")
PRECOMMITTING = "orchestrator@after-force:pre-committing"
BEFORE_THE_DECISION = point("hold", "orchestrator@before-force:committing")
SIDES = ("orchestrator", "order"), ("inventory", "payment")
DIVERGED = "diverged under three-phase commit: order committed it, inventory and payment aborted it"


async def preparing(told: Told, order_id: str) -> list[str]:
    return sorted(doubt.participant for doubt in await in_doubt(told))


async def ended(shop: httpx.AsyncClient, order_id: str) -> list[str]:
    trace = await shop.get(f"/orders/{order_id}/trace")
    entries: list[dict[str, Any]] = trace.json()["entries"] if trace.status_code == 200 else []
    return [entry["what"] for entry in entries if entry["what"].startswith("ended")]


@pytest.mark.parametrize("deaths", [False, True], ids=["coordinators-live", "coordinators-die"])
async def test_a_partition_splits_an_order_which_is_found_named_and_cancelled(
    chaotic: Stack, faults: Faults, told: Told, shop: httpx.AsyncClient, deaths: bool
) -> None:
    sku, customer = await new_product(shop, stock=5, price=700), await new_customer(shop, balance=1000)
    faults.put("orchestrator", point("hold", PRECOMMITTING))
    order_id = (await order(shop, customer, {sku: 1}, wait=0, protocol="3pc")).json()["order_id"]
    await asyncio.to_thread(faults.await_held, PRECOMMITTING)

    await (die if deaths else live)(chaotic, faults)
    await eventually(partial(preparing, told, order_id), [])
    assert await status_of(shop, order_id) == "CONFIRMED"
    if deaths:
        for name in ORCHESTRATORS:
            chaotic.supervisor.signal(name, "KILL")
    faults.clear()
    await eventually(partial(is_over, shop, order_id), True)
    assert await stock_of(shop, sku) == (5, 0, 0)
    assert await balance_of(shop, customer) == 1000

    report = await audit_stack(told, bound_s=30.0)
    assert {(f.check, f.subject) for f in report.findings} == {(promises.PAID, order_id)}, report.as_json()
    assert any(DIVERGED in finding.words for finding in report.findings)

    assert (await shop.post(f"/orders/{order_id}/cancel")).status_code == 202
    await eventually(partial(status_of, shop, order_id), "CANCELLED")
    assert (await shop.post(f"/orders/{order_id}/cancel")).status_code == 200
    await eventually(partial(how_many_ended, shop, order_id), 2)
    assert await stock_of(shop, sku) == (5, 0, 0)
    assert await balance_of(shop, customer) == 1000
    report = await audit_stack(told, bound_s=30.0)
    assert report.violations == 0, report.as_json()


async def live(chaotic: Stack, faults: Faults) -> None:
    """The coordinator is on the order's side, and takes the others for dead."""
    await asyncio.to_thread(faults.part, *SIDES)


async def die(chaotic: Stack, faults: Faults) -> None:
    """They die when the order service has heard PreCommit. Stopped, for now: the supervisor would have them
    back before the participants miss them."""
    partition = {"what": "partition", "sides": SIDES}
    before = heard(faults)
    for role in ("order", "inventory", "payment"):
        faults.put(role, {**partition, "sides": [["order"], ["inventory", "payment"]]})
    faults.put("orchestrator", partition, BEFORE_THE_DECISION)

    async def more() -> bool:
        return heard(faults) > before

    await eventually(more, True)
    for name in ORCHESTRATORS:
        chaotic.supervisor.signal(name, "STOP")


def heard(faults: Faults) -> int:
    return sum(told["reached"]["after-pre-commit"] for told in faults.seen("order").values())


async def is_over(shop: httpx.AsyncClient, order_id: str) -> bool:
    """On record as mixed, whichever answer the coordinator heard first."""
    return await ended(shop, order_id) in (
        ["ended: committed, mixed: not by inventory and payment"],
        ["ended: committed, mixed: not by payment and inventory"],
        ["ended: aborted, mixed: not by order"],
    )


async def how_many_ended(shop: httpx.AsyncClient, order_id: str) -> int:
    return len(await ended(shop, order_id))
