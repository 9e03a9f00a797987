"""Waiting for outcomes that another process will write: a thousand waiters, one query.

A hint says that something may be known by now; it may be lost, so there is a slow poll as well. Either
way all waiters are looked up together.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import chain
from typing import Generic, TypeVar

import asyncpg
import structlog

from services.runtime.database import RETRIABLE

log = structlog.get_logger()

POLL_EVERY_S = 0.5
"""How late an outcome is noticed when its hint was lost."""

Outcome = TypeVar("Outcome")


class Outcomes(Generic[Outcome]):
    """`look_up` returns those of the given ids whose outcome is known."""

    def __init__(self, look_up: Callable[[list[str]], Awaitable[Mapping[str, Outcome]]]) -> None:
        self._look_up = look_up
        self._waiting: dict[str, list[asyncio.Future[Outcome | None]]] = {}
        self._hinted: set[str] = set()
        self._wake = asyncio.Event()
        self._closed = False

    async def wait(self, id: str, timeout_s: float) -> Outcome | None:
        """The outcome, or None when it has not come in time."""
        if self._closed:
            return None
        future: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(id, []).append(future)
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            return None
        finally:
            futures = self._waiting.get(id, [])
            if future in futures:
                futures.remove(future)
                if not futures:
                    del self._waiting[id]

    def close(self) -> None:
        """For everybody who waits, or will, the time is over."""
        self._closed = True
        for future in chain.from_iterable(self._waiting.values()):
            if not future.done():
                future.set_result(None)

    def resolve(self, known: Mapping[str, Outcome]) -> None:
        """Wakes those who wait for outcomes that this process knows to be committed."""
        for id, outcome in known.items():
            for future in self._waiting.pop(id, []):
                if not future.done():
                    future.set_result(outcome)

    def hint(self, ids: Iterable[str]) -> None:
        """These may be known by now."""
        hinted = [id for id in ids if id in self._waiting]
        if hinted:
            self._hinted.update(hinted)
            self._wake.set()

    async def run(self) -> None:
        """Looks up what is hinted at once, and everything that is waited for from time to time."""
        polled_at = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL_EVERY_S)
            self._wake.clear()
            ids, self._hinted = list(self._hinted), set()
            if time.monotonic() - polled_at >= POLL_EVERY_S:
                ids, polled_at = list(self._waiting), time.monotonic()
            if ids:
                try:
                    self.resolve(await self._look_up(ids))
                except (*RETRIABLE, asyncpg.PostgresError) as error:
                    log.warning("outcomes not looked up", error=repr(error))
