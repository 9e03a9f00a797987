"""Group commit for requests: everybody who arrives while a transaction runs shares the next one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from services.runtime.pace import Pace
from services.runtime.problems import Problem

AT_ONCE = 200
"""Requests in one transaction."""

MOST_WAITING = 2_000
"""Beyond this the queue is longer than a client's patience: better to say so at once."""

SLOW_S = 2.0
"""Who came during a commit that took so long, and failed, is told so, too: the next would take as long."""

Request = TypeVar("Request")
Result = TypeVar("Result")


class GroupCommit(Generic[Request, Result]):
    """`commit` takes a list of requests and returns their results in order, or raises for all of them."""

    def __init__(
        self, commit: Callable[[Sequence[Request]], Awaitable[Sequence[Result]]], *, bounded: bool = True
    ) -> None:
        self._commit = commit
        self._bounded = bounded
        self._waiting: list[tuple[Request, asyncio.Future[Result]]] = []
        self._running: asyncio.Task[None] | None = None
        self._pace = Pace()

    async def submit(self, request: Request) -> Result:
        """The result of this request. Raises what `commit` raised, or Problem 429 when too many wait."""
        if self._bounded and len(self._waiting) >= MOST_WAITING:
            detail = "the shop is full; try again"
            raise Problem(429, "too-many-requests", detail, headers={"Retry-After": "1"})
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        await asyncio.sleep(0)  # everything that this turn of the loop has already received comes along
        while self._waiting:
            await asyncio.sleep(self._pace.not_before - time.monotonic())
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            began = time.monotonic()
            try:
                with self._pace.batch(len(batch)):
                    results = await self._commit([request for request, _ in batch])
                assert len(results) == len(batch), "a result for each request"
            except Exception as error:
                if time.monotonic() - began > SLOW_S:
                    batch, self._waiting = batch + self._waiting, []
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), result in zip(batch, results, strict=True):
                    if not future.done():
                        future.set_result(result)
        self._running = None  # no await since the queue was seen empty: nobody can have been forgotten
