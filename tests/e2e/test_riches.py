"""More money in the shop than a bigint holds, though no account has."""

from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from lab.audit.run import audit_stack
from lab.state import Stack as Told
from services.payment import model, store
from services.payment.store import Transfer
from services.runtime.ids import uuid7


async def test_the_sum_of_all_balances_may_pass_a_bigint(
    stack: dict[str, Any], told: Told, shop: httpx.AsyncClient
) -> None:
    run, most = uuid4().hex[:8], model.LARGEST_BALANCE
    rich = [f"rich-{run}-{n}" for n in range(2**63 // most + 1)]
    sql = await asyncpg.connect(stack["databases"]["payment"]["owner"])
    try:
        async with sql.transaction():
            await store.open_system(sql, ["XAU"])
            await store.open_customers(sql, rich, ["XAU"] * len(rich))
            paid_in = [
                Transfer(uuid7(), "deposit", most, model.deposit_entries(c, most, "XAU")) for c in rich
            ]
            await store.post(sql, paid_in)
    finally:
        await sql.close()
    more: list[dict[str, Any]] = [
        {"customer_id": f"more-{run}-{n}", "currency": "XAU", "balance": 10**12} for n in range(10)
    ]
    response = await shop.post("/customers/import", json={"customers": more})
    assert (response.status_code, response.json()) == (200, {"created": 10, "existing": 0})

    async def deposit(customer: str) -> httpx.Response:
        headers = {"Idempotency-Key": str(uuid4())}
        return await shop.post(f"/customers/{customer}/deposit", json={"amount": 1}, headers=headers)

    assert (await deposit(more[0]["customer_id"])).json()["balance"] == 10**12 + 1
    full = await deposit(rich[0])
    assert (full.status_code, full.json()["type"]) == (409, "/problems/balance-too-large")
    assert (await audit_stack(told, bound_s=60.0)).violations == 0
