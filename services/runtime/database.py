"""One pool of Postgres connections, lent out as plain asyncpg connections.

The SQL itself is the subject of this project, so it is written as SQL and runs on the driver, where a
batch costs one round trip a statement and arrays are native. The pool is the driver's too: SQLAlchemy,
which the migrations use, would add 17 MiB to each process and a detour to each loan.
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar, cast

import asyncpg
import structlog

log = structlog.get_logger()

POOL_SIZE = 6
"""Few and busy: work comes in batches, and each Postgres connection costs memory."""

LOAN_S = 10
"""How long one may wait for a connection."""

LOCK_WAIT_S = 1.0
"""For a row; it may be part of a prepared transaction, and locked until somebody decides."""

IDLE_S = 5
"""In a transaction: who is stopped in one loses its locks sooner than Kafka gives its shards to others."""

# Between the parts of a statement a session is not idle, so no limit ends it and its locks. A driver that
# prepares what it asks for the first time (asyncpg) is there for a moment; who is stopped there, for good.
FROZEN = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND state = 'active'
        AND wait_event = 'ClientRead' AND abs(extract(epoch FROM clock_timestamp() - state_change)) > $1
"""

LIMITS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")

AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that broke in the middle of a statement
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,  # its disk does not answer
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
"""Collisions with a row that exists, until it is no race that is lost but a fault of the work's own."""

T = TypeVar("T")


async def insist(
    work: Callable[[], Awaitable[T]],
    also: tuple[type[Exception], ...] = (),
    for_s: float = math.inf,
) -> T:
    """Runs `work`, one whole transaction that may be repeated, until Postgres has done it.

    However many races it loses (CONTENDED, and what `also` counts as such) it tries again. Raises what
    `work` raises by a fault of its own or after `for_s`, and UniqueViolationError after `TRIES` of them.
    """
    races = collisions = 0
    until = time.monotonic() + for_s
    contended: tuple[type[Exception], ...] = (*CONTENDED, *also)
    while True:
        try:
            return await work()
        except contended as error:
            races += 1
            collisions += isinstance(error, asyncpg.UniqueViolationError)
            if collisions == TRIES or time.monotonic() > until:
                raise
            log.info("lost a race, trying again", error=repr(error), races=races)
            await asyncio.sleep(random.uniform(0, min(0.5, 0.02 * races)))
        except AWAY as error:
            if time.monotonic() > until:
                raise
            log.warning("Postgres is away, trying again", error=repr(error))
            await asyncio.sleep(random.uniform(0.1, 0.5))


class Database:
    """Promises that a connection that broke is never lent out twice. Connects when it is first asked to.

    No lock is waited for longer than `LOCK_WAIT_S`: CONTENDED. With `patience_s` nothing that is done here, a
    loan or a statement, takes longer, but a lock is waited for as long, too: it raises AWAY, or CONTENDED.
    """

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE, patience_s: float = math.inf) -> None:
        is_patient = patience_s == math.inf
        self._loan_s = LOAN_S if is_patient else patience_s
        limits = (LOCK_WAIT_S, 0, IDLE_S) if is_patient else (patience_s, patience_s, IDLE_S)
        self._pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=pool_size,
            timeout=min(5, patience_s),
            command_timeout=60 if is_patient else patience_s + 1,  # a server that hangs breaks off nothing
            server_settings={name: f"{limit_s}s" for name, limit_s in zip(LIMITS, limits, strict=True)},
            max_inactive_connection_lifetime=0,
            reset=_leave_as_it_is,
        )
        self._opening = asyncio.Lock()
        self._is_open = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lends a connection outside any transaction: each statement commits by itself."""
        if not self._is_open:
            async with self._opening:
                await self._pool
                self._is_open = True
        try:  # cheaper than the pool's own timeout, which makes a task of each loan
            async with asyncio.timeout(self._loan_s):
                lent = await self._pool.acquire()
        except asyncpg.InternalServerError as error:  # no session can begin: its disk is full, for example
            raise ConnectionError(str(error)) from error
        try:
            yield cast(asyncpg.Connection, lent)
        except (asyncio.CancelledError, *AWAY):
            lent.terminate()  # in the middle of who knows what: not worth keeping
            raise
        finally:
            await self._pool.release(lent)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """Commits at the end of the block, rolls back when the block raises."""
        async with self.connection() as driver, driver.transaction():
            yield driver

    async def end_frozen(self) -> int:
        """Ends sessions of this login whose process has stood still in the midst of a statement for `IDLE_S`:
        how many. The rest of what it does there is lost, as by IDLE_S itself."""
        async with self.connection() as sql:
            return int(await sql.fetchval(FROZEN, IDLE_S))

    async def is_up(self) -> bool:
        try:
            async with self.connection() as driver:
                await driver.execute("SELECT 1", timeout=2)
        except (*RETRIABLE, asyncpg.PostgresError):
            return False
        return True

    async def close(self) -> None:
        """Waits a moment for loans to come back, then closes all the same."""
        if self._is_open:
            try:
                await asyncio.wait_for(self._pool.close(), 5)
            except TimeoutError:
                self._pool.terminate()


async def _leave_as_it_is(connection: object) -> None:
    """Instead of a `RESET ALL` after each loan: nobody here leaves a setting or a transaction behind."""
