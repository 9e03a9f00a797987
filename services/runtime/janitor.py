"""Chores that one replica at a time should do: a lease in Redis keeps the others away, a number decides.

Two janitors at once would do no harm, only double work, so Redis may be wrong or away. But each chore
that writes checks its fencing number in its transaction, so that one who was paused in the middle of a
chore and wakes up when another has taken over changes nothing.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import structlog

from services.runtime import fencing
from services.runtime.database import RETRIABLE
from services.runtime.plumbing import Plumbing

log = structlog.get_logger()

EVERY_S, LEASE_S = 2.0, 10.0

BREATH_S = 0.2
"""Between a part of a chore and its next one, for all who wait for the same disk."""

Chore = Callable[[asyncpg.Connection], Awaitable[bool]]
"""A part of it, in a transaction of its own, and short: no more than nobody notices. True: there is more."""


class Janitor:
    """Does the chores of one service's database."""

    def __init__(self, name: str, parts: Plumbing, chores: Sequence[Chore]) -> None:
        self._name, self._chores = f"janitor:{name}", chores
        self._database, self._outbox, self._shortcuts = parts.database, parts.outbox, parts.shortcuts

    async def run(self) -> None:
        went_at = began_at = time.monotonic()
        while True:
            await asyncio.sleep(EVERY_S * random.uniform(0.8, 1.2) - (time.monotonic() - began_at))
            began_at = time.monotonic()
            await self._end_frozen()
            lease = await self._shortcuts.lock(self._name, ttl_s=LEASE_S)
            # Nobody's lease is believed for longer than it lasts, whatever Redis's clock says.
            if lease is None and not self._shortcuts.is_away and time.monotonic() - went_at < LEASE_S:
                continue
            went_at = time.monotonic()
            try:
                await self._round()
            except fencing.StaleHolder as error:
                log.info("janitor was overtaken", error=str(error))
            except (*RETRIABLE, asyncpg.PostgresError) as error:
                log.warning("janitor will try again", error=repr(error))
            finally:
                await self._shortcuts.unlock([lease] if lease else [])

    async def _end_frozen(self) -> None:
        """Each janitor does: the one with the lease may be what stands still."""
        try:
            if ended := await self._database.end_frozen():
                log.warning("ended sessions of a process that stands still", sessions=ended)
        except (*RETRIABLE, asyncpg.PostgresError) as error:
            log.warning("cannot look for sessions that stand still", error=repr(error))

    async def _round(self) -> None:
        async with self._database.transaction() as sql:
            number = await fencing.issue(sql, self._name)
        if adopted := await self._outbox.adopt():
            log.info("adopted what another process left in its outbox", rows=adopted)
        ends_at, left = time.monotonic() + EVERY_S - BREATH_S, self._chores
        while left := [chore for chore in left if await self._part(chore, number)]:
            if time.monotonic() > ends_at:
                break
            await asyncio.sleep(BREATH_S)

    async def _part(self, chore: Chore, number: int) -> bool:
        async with self._database.transaction() as sql:
            await fencing.check(sql, {self._name: number})
            return await chore(sql)
