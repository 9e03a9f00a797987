"""One thing dies at one step of a commit, under load, and this sees what it costs until all is well again."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import NamedTuple, Self

import asyncpg
import httpx

from infra.native import Stack
from lab.audit.run import audit_stack
from lab.doubt import in_doubt
from lab.faults import Faults, point
from lab.state import Stack as Told
from lab.state import Trouble
from tests.e2e.shopper import eventually, new_customer, new_product, order, pause
from tests.e2e.witness import Witness

RATE, LOAD_S = 40.0, 4.0
REACHED_S = 20.0
RECOVERED_S = 60.0

STRANDED = """
    select (select count(*) from transactions where running and started_at <= $1)
        + (select count(*) from sagas where running and started_at <= $1)
"""


class Cost(NamedTuple):
    in_doubt_s: float
    """The longest that a transaction stood prepared."""

    recovery_s: float
    """From the death until what was under way then had ended."""

    load: str
    """What the witness says of the orders that came in meanwhile."""


class Doubts:
    """Watches, until it is closed, how long transactions stand prepared."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.longest_s = 0.0
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            with suppress(Trouble, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                found = await in_doubt(self._told)
                self.longest_s = max([self.longest_s, *(doubt.age_s for doubt in found)])
            await pause(0.2)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()


@asynccontextmanager
async def troublemakers(shop: httpx.AsyncClient, protocol: str) -> AsyncIterator[None]:
    """Customers who cannot pay, who want what is not there, and who change their minds, all the time."""

    some, none = await new_product(shop, stock=10_000), await new_product(shop, stock=1)
    rich, poor = await new_customer(shop, balance=10**8), await new_customer(shop, balance=1)

    async def order_and_cancel() -> None:
        while True:
            placed = [(poor, {some: 1}), (rich, {none: 2}), (rich, {some: 1})]
            for who, items in placed:
                with suppress(httpx.TransportError):
                    answer = await order(shop, who, items, wait=2, protocol=protocol)
                    if answer.status_code == 201:
                        await shop.post(f"/orders/{answer.json()['order_id']}/cancel")
            await pause(0.2)

    making = asyncio.create_task(order_and_cancel())
    try:
        yield
    finally:
        making.cancel()
        with suppress(asyncio.CancelledError):
            await making


async def lose(
    native: Stack, told: Told, faults: Faults, shop: httpx.AsyncClient, protocol: str, at: str, server: str
) -> Cost:
    """Whoever comes to `at` dies there or, if a server is named, is held there while that server dies.

    Fails unless every order of the load ends, nothing stays prepared and the audit is clean.
    """
    async with Doubts(told) as doubts:
        witness = Witness(told, RATE, seconds=LOAD_S, protocol=protocol)
        await pause(1.0)
        async with troublemakers(shop, protocol):
            if server:
                lost = await outage(native, faults, at, server)
            else:
                lost = await crash(native, told, faults, at)
        await recovered(told)
        in_doubt_s, recovery_s = doubts.longest_s, time.monotonic() - lost
        cost = Cost(in_doubt_s, recovery_s, await witness.verdict())
    await eventually(partial(in_doubt, told), [])
    report = await audit_stack(told, bound_s=30.0)
    assert report.violations == 0, report.as_json()
    return cost


async def crash(native: Stack, told: Told, faults: Faults, at: str) -> float:
    """Any coordinator may own the next transaction; of a participant's replicas one is enough.

    Tells when somebody died.
    """
    role = at.partition("@")[0]
    names = [n for n in told.ports if n.rpartition("-")[0] == role][: 2 if role == "orchestrator" else 1]
    before = {name: native.supervisor.exits(name) for name in names}
    for name in names:
        await asyncio.to_thread(faults.put, role, point("crash", at), only=name)

    async def somebody_died() -> bool:
        return any(native.supervisor.exits(name) > before[name] for name in names)

    await eventually(somebody_died, True, within_s=REACHED_S)
    died = time.monotonic()
    await asyncio.to_thread(faults.clear)
    return died


async def outage(native: Stack, faults: Faults, at: str, server: str) -> float:
    """Tells when the server died."""
    await asyncio.to_thread(faults.put, at.partition("@")[0], point("hold", at))
    await asyncio.to_thread(faults.await_held, at, REACHED_S)
    died = time.monotonic()
    native.supervisor.signal(server, "KILL")
    await asyncio.to_thread(native.wait_ready, server)
    await asyncio.to_thread(faults.clear)
    return died


async def recovered(told: Told) -> None:
    """All transactions and sagas that have begun by now have ended."""
    sql = await asyncpg.connect(told.databases["orchestrator"].audit)
    try:
        now = await sql.fetchval("select clock_timestamp()")

        async def stranded() -> int:
            return int(await sql.fetchval(STRANDED, now))

        await eventually(stranded, 0, within_s=RECOVERED_S)
    finally:
        await sql.close()
