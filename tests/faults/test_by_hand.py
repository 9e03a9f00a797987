"""An operator looks at what is in doubt on the running stack, decides it by hand, and is found out."""

import asyncio
import json
from functools import partial
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from infra.native import Stack
from lab import cli
from lab.audit import promises
from lab.audit.run import audit_stack
from lab.faults import Faults, point
from lab.state import Stack as Told
from tests.e2e.shopper import (
    balance_of,
    eventually,
    new_customer,
    new_product,
    order,
    status_of,
    stock_of,
)
from tests.faults.held import Held, held

BEFORE_THE_DECISION = "orchestrator@before-force:committing"
REASON = "the coordinator will not come back"


async def in_doubt(inside: httpx.AsyncClient, id: str) -> dict[str, Any]:
    told = (
        await inside.get("/orchestrator/transactions", params={"state": "in-doubt", "limit": 1000})
    ).json()
    assert told["silent"] == []
    return next((doubt for doubt in told["transactions"] if doubt["transaction_id"] == id), {})


async def resolve(inside: httpx.AsyncClient, id: str, **body: Any) -> httpx.Response:
    return await inside.post(f"/orchestrator/transactions/{id}/resolve", json={"reason": REASON} | body)


def tradeoff(native: Stack, *arguments: str) -> str:
    done = CliRunner().invoke(cli.app, arguments, env={"TRADEOFF_STATE": str(native.layout.state)})
    assert done.exit_code == 0, done.output
    return done.stdout


async def test_what_is_decided_by_hand_against_the_coordinator_is_seen_by_all(
    chaotic: Stack, faults: Faults, told: Told, shop: httpx.AsyncClient, inside: httpx.AsyncClient
) -> None:
    case = await held(shop, faults, "2pc", BEFORE_THE_DECISION)
    next_id = (await order(shop, case.customer, {case.sku: 1}, wait=0)).json()["order_id"]
    await is_shown_with_whom_it_blocks(inside, case)
    shown = await asyncio.to_thread(tradeoff, chaotic, "doubt")
    assert case.id in shown and case.order_id in shown and f"product {case.sku}" in " ".join(shown.split())

    arguments = ("resolve", case.id, "--outcome", "abort", "--at", "inventory", "--reason", REASON, "--json")
    done = json.loads(await asyncio.to_thread(tradeoff, chaotic, *arguments))
    assert done["participants"] == {"inventory": "aborted"}
    again = await resolve(inside, case.id, outcome="abort", participants=["inventory"])
    assert (again.status_code, again.json()["type"]) == (409, "/problems/not-in-doubt")
    assert set((await in_doubt(inside, case.id))["participants"]) == {"order", "payment"}

    faults.clear()
    for order_id in (case.order_id, next_id):
        await eventually(partial(status_of, shop, order_id), "CONFIRMED")
    await eventually(partial(in_doubt, inside, case.id), {})
    late = await resolve(inside, case.id, outcome="abort")
    assert (late.status_code, late.json()["type"]) == (409, "/problems/decided-otherwise")
    await is_named_and_cancelled(told, shop, case)


async def is_shown_with_whom_it_blocks(inside: httpx.AsyncClient, case: Held) -> None:
    blocking: set[str] = set()  # who waits gives up now and then, and comes again

    async def blocked() -> set[str]:
        holders = (await in_doubt(inside, case.id))["participants"]
        blocking.update(name for name, held in holders.items() if held["blocks"])
        return blocking

    await eventually(blocked, {"inventory", "payment"})
    doubt = await in_doubt(inside, case.id)
    assert doubt["orders"] == [case.order_id]
    assert doubt["wants"] == [f"customer {case.customer}", f"product {case.sku}"]
    assert (doubt["protocol"], doubt["orphan"], doubt["decision"]) == ("2pc", False, "")
    assert set(doubt["participants"]) == {"order", "inventory", "payment"}
    assert "stock" in doubt["participants"]["inventory"]["tables"]


async def is_named_and_cancelled(told: Told, shop: httpx.AsyncClient, case: Held) -> None:
    async def on_record() -> set[str]:
        """The coordinator hears of it when all have answered, and that may be after nobody is in doubt."""
        entries = (await shop.get(f"/orders/{case.order_id}/trace")).json()["entries"]
        return wanted & {entry["what"] for entry in entries}

    wanted = {
        f"an operator decides: aborted at inventory ({REASON})",
        "ended: committed, mixed: not by inventory",
    }
    await eventually(on_record, wanted)
    report = await audit_stack(told, bound_s=30.0)
    assert {(f.check, f.subject) for f in report.findings} == {(promises.PAID, case.order_id)}, (
        report.as_json()
    )
    words = "was split by hand: order and payment committed it, inventory aborted it"
    hand = f"at inventory an operator decided: aborted ({REASON})"
    assert any(f"{words}; {hand}" in finding.words for finding in report.findings)
    assert (await shop.post(f"/orders/{case.order_id}/cancel")).status_code == 202
    await eventually(partial(status_of, shop, case.order_id), "CANCELLED")
    assert (await stock_of(shop, case.sku), await balance_of(shop, case.customer)) == ((4, 0, 1), 1300)
    report = await audit_stack(told, bound_s=30.0)
    assert report.violations == 0, report.as_json()


async def test_what_is_decided_by_hand_as_the_coordinator_would_breaks_nothing(
    faults: Faults, told: Told, shop: httpx.AsyncClient, inside: httpx.AsyncClient
) -> None:
    id, order_id, sku, customer = await held(shop, faults, "2pc", BEFORE_THE_DECISION)
    done = await resolve(inside, id, outcome="commit")
    states = dict.fromkeys(("order", "inventory", "payment"), "committed")
    assert (done.status_code, done.json()["participants"]) == (200, states)
    assert await status_of(shop, order_id) == "CONFIRMED"
    assert (await stock_of(shop, sku), await balance_of(shop, customer)) == ((4, 0, 1), 1300)
    faults.clear()

    async def running() -> list[bool]:
        found = (await inside.get(f"/orchestrator/transactions/{id}")).json()["transactions"]
        return [one["running"] for one in found]

    await eventually(running, [False])
    report = await audit_stack(told, bound_s=30.0)
    assert report.violations == 0, report.as_json()
    assert 'tradeoff_commit_ended_total{outcome="committed",protocol="2pc"}' in await counted(told)

    async def none_is_prepared() -> bool:
        return "tradeoff_prepared_transactions 0.0" in await counted(told)

    await eventually(none_is_prepared, True)  # each participant looks twice a second


async def test_an_order_that_the_order_service_alone_aborted_ends_all_the_same(
    faults: Faults, told: Told, shop: httpx.AsyncClient, inside: httpx.AsyncClient
) -> None:
    case = await held(shop, faults, "2pc", BEFORE_THE_DECISION)
    assert (await resolve(inside, case.id, outcome="abort", participants=["order"])).status_code == 200
    faults.clear()
    await eventually(partial(status_of, shop, case.order_id), "CONFIRMED")
    assert (await stock_of(shop, case.sku), await balance_of(shop, case.customer)) == ((4, 0, 1), 1300)
    assert (await audit_stack(told, bound_s=30.0)).violations == 0

    faults.put("orchestrator", point("hold", BEFORE_THE_DECISION))
    assert (await shop.post(f"/orders/{case.order_id}/cancel")).status_code == 202
    cancellation = await asyncio.to_thread(faults.await_held, BEFORE_THE_DECISION)
    assert (await resolve(inside, cancellation, outcome="abort", participants=["order"])).status_code == 200
    faults.clear()
    await eventually(partial(status_of, shop, case.order_id), "CANCELLED")
    assert (await stock_of(shop, case.sku), await balance_of(shop, case.customer)) == ((5, 0, 0), 2000)
    report = await audit_stack(told, bound_s=30.0)
    assert report.violations == 0, report.as_json()


@pytest.mark.parametrize("named_by", ["order", "transaction"])
async def test_who_is_asked_again_at_once_answers_before_the_timer_rings(
    chaotic: Stack,
    faults: Faults,
    told: Told,
    shop: httpx.AsyncClient,
    inside: httpx.AsyncClient,
    named_by: str,
) -> None:
    """Payment does not hear that the card is to be charged: four times, so that the next is seconds away."""
    sku, customer = await new_product(shop, price=700), await new_customer(shop, balance=2000)
    lost = {"what": "drop-request", "to": "payment", "verb": "commit", "times": None}
    faults.put("orchestrator", lost)
    order_id = (await order(shop, customer, {sku: 1}, protocol="2pc")).json()["order_id"]

    async def unheard() -> bool:
        return any(told["faults"][0]["met"] >= 4 for told in faults.seen("orchestrator").values())

    await eventually(unheard, True)
    faults.clear()
    [transaction] = (await inside.get(f"/orchestrator/transactions/{order_id}")).json()["transactions"]
    id = {"order": order_id, "transaction": transaction["transaction_id"]}[named_by]
    answer = json.loads(await asyncio.to_thread(tradeoff, chaotic, "retry", id, "--json"))
    assert answer == {"order_id": id, "asked_again": ["buy"]}
    await eventually(partial(balance_of, shop, customer), 1300)

    async def since_then() -> list[str]:
        entries = (await shop.get(f"/orders/{order_id}/trace")).json()["entries"]
        what = [entry["what"] for entry in entries if entry["role"] == "orchestrator"]
        return what[what.index("retry-now") :] if "retry-now" in what else []

    await eventually(since_then, ["retry-now", "commit", "committed", "ended: committed"])
    assert (await audit_stack(told, bound_s=30.0)).violations == 0


async def counted(told: Told) -> str:
    """What orchestrators and inventories tell of themselves."""
    processes = [name for name in told.ports if name.startswith(("orchestrator", "inventory"))]
    urls = [f"http://127.0.0.1:{told.ports[name]}/metrics" for name in processes]
    answers = await asyncio.gather(*(asyncio.to_thread(httpx.get, url) for url in urls))
    return "\n".join(answer.text for answer in answers)


async def test_an_orphan_is_shown_and_resolved(
    told: Told, stack: dict[str, Any], shop: httpx.AsyncClient, inside: httpx.AsyncClient
) -> None:
    """A coordinator has lost its log: nobody will ever decide."""
    id, sku = "0190a000-0000-7000-8000-000000000001", await new_product(shop, stock=5)
    line = {"sku": sku, "quantity": 1}
    work = {
        "order_id": id,
        "kind": "buy",
        "customer_id": "nobody",
        "amount": 1,
        "currency": "EUR",
        "lines": [line],
    }
    asked = {"transaction": id, "epoch": 1, "number": 1, "protocol": "2pc", "verb": "prepare", "work": [work]}
    credential = {"Authorization": f"Bearer {stack['participant_token']}"}
    path = "/inventory/participant/batches"
    told_of = await inside.post(path, json={"requests": [asked]}, headers=credential)
    assert told_of.json()["answers"][0]["vote"] == "yes"
    assert (await in_doubt(inside, id))["orphan"] is True
    assert (await resolve(inside, id, outcome="abort")).json()["participants"] == {"inventory": "aborted"}
    assert await in_doubt(inside, id) == {}
    assert await stock_of(shop, sku) == (5, 0, 0)
    for wrong in (
        {"outcome": "maybe"},
        {"outcome": "abort", "participants": []},
        {"outcome": "abort", "reason": ""},
    ):
        assert (await resolve(inside, id, **wrong)).status_code == 422
    assert (await resolve(inside, "no-uuid", outcome="abort")).status_code == 404
    unknown = "0190a000-0000-7000-8000-000000000002"
    assert (await resolve(inside, unknown, outcome="abort")).status_code == 404
    assert (await inside.post(f"/orchestrator/transactions/{unknown}/retry")).status_code == 409
