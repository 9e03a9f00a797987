"""A shop that has too much to finish takes nothing more: what it has accepted has a deadline.

Orders come as fast as they like, whether Kafka is there or not. Beyond what can be finished before the
deadline each one more makes others fail: they are undone, with twice the work, and asked for again meanwhile.
"""

import asyncio

import asyncpg
import structlog

from services.runtime.database import RETRIABLE, Database
from services.runtime.problems import Problem

log = structlog.get_logger()

MOST_UNFINISHED = 10_000
"""In all of the shop. A slow machine finishes so many within the minute that an order has."""

LOOK_EVERY_S = 0.5

COUNT = """
    SELECT count(*) FROM (SELECT FROM orders WHERE status = 'PENDING' LIMIT $1) AS unfinished
"""


class Crowd:
    """Knows, half a second late, whether the shop has too much to finish."""

    def __init__(self, database: Database, most: int = MOST_UNFINISHED) -> None:
        self._database = database
        self._most = most
        self._is_full = False

    def admit(self) -> None:
        """Raises Problem 429 while the shop is full."""
        if self._is_full:
            detail = f"the shop has {self._most} orders to finish first; try again, with the same key"
            raise Problem(429, "too-many-requests", detail, headers={"Retry-After": "2"})

    async def look(self) -> None:
        async with self._database.connection() as sql:
            is_full = await sql.fetchval(COUNT, self._most) >= self._most
        if is_full != self._is_full:
            log.info("takes no orders" if is_full else "takes orders again", unfinished=self._most)
        self._is_full = is_full

    async def run(self) -> None:
        """Looks for ever; what was seen last holds while Postgres is away."""
        while True:
            try:
                await self.look()
            except (*RETRIABLE, asyncpg.PostgresError) as error:
                log.warning("unfinished orders not counted", error=repr(error))
            await asyncio.sleep(LOOK_EVERY_S)
