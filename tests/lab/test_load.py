"""Locust's customers, as `make load HEADLESS=1` lets them come."""

import asyncio
import os
import re
import subprocess
import sys

from infra.native import Stack
from lab.databases import connected
from lab.state import Stack as Told
from lab.workload import PROTOCOLS
from tests.e2e.shopper import eventually


async def loaded(native: Stack, *arguments: str) -> tuple[int, str]:
    """The exit code, and all that was printed."""
    done = await asyncio.to_thread(
        subprocess.run,
        [
            sys.executable,
            "-m",
            "lab.cli",
            "load",
            "--headless",
            "--users",
            "30",
            "--run-time",
            "10s",
            *arguments,
        ],
        env=os.environ | {"TRADEOFF_STATE": str(native.layout.state), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=150,
    )
    return done.returncode, done.stdout


async def ordered(told: Told) -> int:
    async with connected(told, ["order"]) as databases:
        return int(await databases["order"].fetchval("select count(*) from orders"))


async def test_the_customers_do_all_that_customers_do_and_the_audit_is_clean(native: Stack) -> None:
    code, said = await loaded(native)
    assert code == 0, said
    for done in (
        "/products/[sku]",
        "/orders/[id]",
        "cancel",
        "restock",
        *(f"order by {one}" for one in PROTOCOLS),
    ):
        [count] = re.findall(rf"(?m)^\S+ +{re.escape(done)} +(\d+) ", said.partition("Response time")[0])
        assert int(count) > 0
    assert "Aggregated" in said
    assert "No violation." in said


async def test_a_service_that_is_not_there_is_a_failure(native: Stack, told: Told) -> None:
    """Refusals are answers; 5xx are not. It comes back, so that what was accepted meanwhile can end."""
    before = await ordered(told)

    async def enough_have_come() -> bool:
        """Half of the customers order first, the others look at the products."""
        return await ordered(told) >= before + 20

    gone = [part.name for part in native.parts() if part.name.startswith("inventory-")]
    native.supervisor.stop(*gone)
    try:
        load = asyncio.create_task(loaded(native, "--protocols", "saga"))
        await eventually(enough_have_come, True, within_s=60)
    finally:
        await asyncio.to_thread(native.up)
    code, said = await load
    assert code == 1, said
    assert re.search(r"GET +/products\b.*50[234]", said)


async def test_no_answer_is_a_failure(native: Stack, told: Told) -> None:
    """nginx dies while orders wait for theirs, and is started again."""
    before = await ordered(told)

    async def some_have_come() -> bool:
        return await ordered(told) >= before + 50

    load = asyncio.create_task(loaded(native))
    await eventually(some_have_come, True, within_s=60)
    native.supervisor.signal("nginx", "KILL")
    code, said = await load
    assert code == 1, said
    assert re.search(r"POST +order by .*no answer", said), said
