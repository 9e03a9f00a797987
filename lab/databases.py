"""Connections to the databases from outside: to look with the `audit` login, to measure with the owners'."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal, TypeAlias

import asyncpg

from lab.state import Stack, Trouble

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Databases: TypeAlias = dict[str, Connection]

CONNECT_S = 10.0

LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that broke in the middle of a statement
)
"""It cannot be looked at now."""


@asynccontextmanager
async def connected(
    stack: Stack, names: Iterable[str], login: Literal["owner", "audit"] = "audit"
) -> AsyncIterator[Databases]:
    """One connection to each named database, or `Trouble` that names the one that could not be reached."""
    async with AsyncExitStack() as opened:
        found: Databases = {}
        for name in names:
            found[name] = await _connect(name, getattr(stack.databases[name], login))
            opened.push_async_callback(found[name].close)
        yield found


async def _connect(name: str, dsn: str) -> Connection:
    try:
        return await asyncpg.connect(dsn, timeout=CONNECT_S, server_settings={"application_name": "tradeoff"})
    except LOST as error:
        raise Trouble(
            f"The {name} database cannot be reached ({error}). Is the stack up? make status"
        ) from None
