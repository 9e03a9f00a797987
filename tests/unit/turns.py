"""Waiting without sleeping: let the event loop turn, and never for ever."""

import asyncio
from collections.abc import Awaitable, Generator
from typing import TypeVar

T = TypeVar("T")


class _Turn:
    def __await__(self) -> Generator[None, None, None]:
        yield


async def turn(times: int = 1) -> None:
    """Everything that is ready runs once, `times` times over."""
    for _ in range(times):
        await _Turn()


async def soon(awaitable: Awaitable[T]) -> T:
    """What comes at once or, when it does not, a TimeoutError."""
    return await asyncio.wait_for(awaitable, 2)
