"""One pool of Postgres connections, lent out as plain asyncpg connections.

SQLAlchemy keeps the pool; the SQL itself is the subject of this project, so it is written as SQL
and runs on the driver, where a batch costs one round trip a statement and arrays are native.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg
import sqlalchemy.exc
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

log = structlog.get_logger()

POOL_SIZE = 6
"""Few and busy: work comes in batches, and each Postgres connection costs memory."""

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    sqlalchemy.exc.TimeoutError,
)
"""Postgres is away, restarting or full. Whether an unfinished commit happened is unknown; try for ever."""

CONTENDED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.UniqueViolationError,
)
"""Another transaction was in the way, or did the same work first. Nothing was written; try again."""

RETRIABLE = (*AWAY, *CONTENDED)


TRIES = 10
"""Lost races for one piece of work before it is taken for a fault of its own."""

T = TypeVar("T")


async def insist(work: Callable[[], Awaitable[T]], also: tuple[type[Exception], ...] = ()) -> T:
    """Runs `work`, one whole transaction that may be repeated, until Postgres has done it.

    Raises what `work` raises by a fault of its own, and CONTENDED (and what `also` counts as such)
    after `TRIES` lost races.
    """
    tries = 0
    contended: tuple[type[Exception], ...] = (*CONTENDED, *also)
    while True:
        try:
            return await work()
        except contended as error:
            tries += 1
            if tries == TRIES:
                raise
            log.info("lost a race, trying again", error=repr(error))
            await asyncio.sleep(random.uniform(0, 0.02 * tries))
        except AWAY as error:
            log.warning("Postgres is away, trying again", error=repr(error))
            await asyncio.sleep(random.uniform(0.1, 0.5))


class Database:
    """Promises that a connection that broke is never lent out twice."""

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE) -> None:
        self._engine: AsyncEngine = create_async_engine(
            url.replace("postgresql://", "postgresql+asyncpg://", 1),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            connect_args={"timeout": 5, "command_timeout": 60},
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lends a connection outside any transaction: each statement commits by itself."""
        async with self._engine.connect() as pooled:
            driver = await _driver_of(pooled)
            try:
                yield driver
            except (asyncio.CancelledError, *AWAY):
                # In the middle of who knows what: not worth keeping.
                driver.terminate()
                raise
            finally:
                if driver.is_closed():
                    await pooled.invalidate()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """Commits at the end of the block, rolls back when the block raises."""
        async with self.connection() as driver, driver.transaction():
            yield driver

    async def is_up(self) -> bool:
        try:
            async with self.connection() as driver:
                await driver.execute("SELECT 1", timeout=2)
        except (*RETRIABLE, asyncpg.PostgresError):
            return False
        return True

    async def close(self) -> None:
        await self._engine.dispose()


async def _driver_of(pooled: AsyncConnection) -> asyncpg.Connection:
    driver = (await pooled.get_raw_connection()).driver_connection
    assert isinstance(driver, asyncpg.Connection)
    return driver
