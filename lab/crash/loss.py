"""Who comes to a step is lost there, in one of the modes; each function ends when all of that is undone.

The processes were started with CHAOS=1. Those of a native stack are seen through its supervisor; those in
containers can only die by themselves, which is enough for "restart".
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple
from xmlrpc.client import Fault

import httpx

from infra.native import Stack as Native
from lab.containers import Containers
from lab.crash.partition import SIDES
from lab.crash.rows import AWAY, PARTITION, Row
from lab.doubt import in_doubt
from lab.faults import Faults, point
from lab.state import Stack, Trouble
from services.chaos.points import ORCHESTRATOR

REACHED_S = 20.0
PAUSED_S = 8.0
"""Longer than any lease, and than Kafka's patience with a silent member."""

AWAY_S = 8.0
"""Longer than participants of three-phase commit wait for a coordinator before they do without."""

Recovered = Callable[[], Awaitable[None]]
"""Returns when all that was under way has ended."""


class Lost(NamedTuple):
    who: str
    recovery_s: float
    """From the loss until what was under way then had ended."""


class Ground(NamedTuple):
    """Where it happens."""

    native: Native | Containers
    stack: Stack
    faults: Faults

    def replicas(self, role: str) -> list[str]:
        return [name for name in self.stack.addresses if name.rpartition("-")[0] == role]

    def where(self, role: str) -> list[str]:
        """Whom the fault is set in. Any orchestrator may own the next order; of others one is enough."""
        return self.replicas(role)[: 2 if role == ORCHESTRATOR else 1]

    async def arm(self, row: Row, what: str) -> None:
        for name in self.where(row.role):
            await asyncio.to_thread(self.faults.put, row.role, point(what, row.at), only=name)

    async def arm_all(self, row: Row, what: str) -> None:
        """Where nobody has come to the first: who comes seldom may always come to another."""
        await asyncio.to_thread(self.faults.put, row.role, point(what, row.at))

    async def disarm(self) -> None:
        await asyncio.to_thread(self.faults.clear)

    async def ready(self, name: str) -> None:
        await asyncio.to_thread(self.native.wait_ready, name)


async def lose(ground: Ground, row: Row, recovered: Recovered) -> Lost:
    """Raises Trouble when nothing comes to the step."""
    match row.mode:
        case "restart":
            return await _restart(ground, row, recovered)
        case "takeover":
            return await _take_over(ground, row, recovered)
        case "pause":
            return await _pause(ground, row, recovered)
        case mode if mode == AWAY:
            return await _stay_away(ground, row, recovered)
        case mode if mode == PARTITION:
            return await _part(ground, row, recovered)
        case server:
            return await _outage(ground, row, server, recovered)


async def _restart(ground: Ground, row: Row, recovered: Recovered) -> Lost:
    who, died = await _die(ground, row)
    await recovered()
    recovery_s = time.monotonic() - died
    await ground.ready(who)
    return Lost(who, recovery_s)


async def _take_over(ground: Ground, row: Row, recovered: Recovered) -> Lost:
    """The supervisor has it back in a second; it is stopped again before it has come far."""
    who, died = await _die(ground, row)
    supervisor = ground.native.supervisor
    try:
        await asyncio.to_thread(supervisor.stop, who)
        await recovered()
        return Lost(who, time.monotonic() - died)
    finally:
        await asyncio.to_thread(supervisor.start, who)
        await ground.ready(who)


async def _stay_away(ground: Ground, row: Row, recovered: Recovered) -> Lost:
    """With all of its role, so that nobody takes over until they are back."""
    _, died = await _die(ground, row)
    supervisor, names = ground.native.supervisor, ground.replicas(row.role)
    try:
        for name in names:
            with suppress(Fault):  # it is dead already
                supervisor.signal(name, "KILL")
        await asyncio.to_thread(supervisor.stop, *names)
        await asyncio.sleep(max(0.0, AWAY_S - (time.monotonic() - died)))
    finally:
        for name in names:
            await asyncio.to_thread(supervisor.start, name)
    for name in names:
        await ground.ready(name)
    await recovered()
    return Lost(f"every {row.role}", time.monotonic() - died)


async def _pause(ground: Ground, row: Row, recovered: Recovered) -> Lost:
    who = await _holder(ground, row)
    supervisor = ground.native.supervisor
    supervisor.signal(who, "STOP")
    paused = time.monotonic()
    try:
        for name in ground.replicas(row.role):
            if name != who:
                with suppress(httpx.TransportError):
                    await asyncio.to_thread(ground.faults.put, row.role, only=name)
        await recovered()
        recovery_s = time.monotonic() - paused
        await asyncio.sleep(max(0.0, PAUSED_S - recovery_s))
    finally:
        supervisor.signal(who, "CONT")
    await ground.disarm()
    await ground.ready(who)
    return Lost(who, recovery_s)


async def _outage(ground: Ground, row: Row, server: str, recovered: Recovered) -> Lost:
    await _holder(ground, row)
    died = time.monotonic()
    ground.native.supervisor.signal(server, "KILL")
    await ground.ready(server)
    await ground.disarm()
    await recovered()
    return Lost(server, time.monotonic() - died)


async def _part(ground: Ground, row: Row, recovered: Recovered) -> Lost:
    """Parted until each side has ended what was at the step, in its own way."""
    await _holder(ground, row)
    held = await asyncio.to_thread(ground.faults.await_held, row.at)
    await asyncio.to_thread(ground.faults.part, *SIDES)
    parted = time.monotonic()

    async def ended() -> str:
        """What was held is in doubt with nobody."""
        return "" if any(held in doubt.gid for doubt in await in_doubt(ground.stack)) else held

    await _await(row, ended, REACHED_S)
    await ground.disarm()
    await recovered()
    return Lost("the network", time.monotonic() - parted)


async def _die(ground: Ground, row: Row) -> tuple[str, float]:
    supervisor, names = ground.native.supervisor, ground.replicas(row.role)
    before = {name: supervisor.exits(name) for name in names}

    async def dead() -> str:
        return next((name for name in names if supervisor.exits(name) > before[name]), "")

    who, died = await _met(ground, row, "crash", dead), time.monotonic()
    await ground.disarm()
    return who, died


async def _holder(ground: Ground, row: Row) -> str:
    """Who is held at the step, which is set for that."""

    async def held() -> str:
        seen = await asyncio.to_thread(ground.faults.seen, row.role)
        return next(
            (name for name, told in seen.items() if any(one["at"] == row.at for one in told["held"])), ""
        )

    return await _met(ground, row, "hold", held)


async def _met(ground: Ground, row: Row, what: str, look: Callable[[], Awaitable[str]]) -> str:
    """Sets the fault, and waits for what `look` tells of it."""
    await ground.arm(row, what)
    with suppress(Trouble):
        return await _await(row, look, REACHED_S / 2)
    await ground.arm_all(row, what)
    return await _await(row, look, REACHED_S)


async def _await(row: Row, look: Callable[[], Awaitable[str]], within_s: float) -> str:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if found := await look():
            return found
        await asyncio.sleep(0.05)
    raise Trouble(f"Nothing came to {row.at} within {within_s:.0f} s.")
