"""A shop that has too much to finish takes nothing more: what it has accepted has a deadline.

Orders come as fast as they like, whether Kafka is there or not. Beyond what can be finished before the
deadline each one more makes others fail: they are undone, with twice the work, and asked for again meanwhile.
"""

import asyncio
from collections.abc import Mapping

import asyncpg
import structlog

from services.runtime.database import RETRIABLE, Database
from services.runtime.problems import Problem

log = structlog.get_logger()

ROOM = {"saga": 10_000, "2pc-group": 10_000, "2pc": 2_000, "3pc": 1_500}
"""How many of them may be unfinished in all of the shop if it has no others; else the shares add up.
A slow machine finishes so many well within the minute that an order has."""

LOOK_EVERY_S = 0.5

COUNT = """
    SELECT protocol, count(*)
    FROM (SELECT protocol FROM orders WHERE status = 'PENDING' LIMIT $1) AS unfinished
    GROUP BY protocol
"""


class Crowd:
    """Knows, half a second late, whether the shop has too much to finish."""

    def __init__(self, database: Database, room: Mapping[str, int] = ROOM) -> None:
        self._database = database
        self._room = room
        self._is_full = False

    def admit(self) -> None:
        """Raises Problem 429 while the shop is full."""
        if self._is_full:
            detail = "the shop has as many orders to finish as it can in time; try again, with the same key"
            raise Problem(429, "too-many-requests", detail, headers={"Retry-After": "2"})

    async def look(self) -> None:
        async with self._database.connection() as sql:
            rows = await sql.fetch(COUNT, max(self._room.values()))
        unfinished = {row["protocol"]: row["count"] for row in rows}
        least = min(self._room.values())
        is_full = sum(count / self._room.get(name, least) for name, count in unfinished.items()) >= 1.0
        if is_full != self._is_full:
            log.info("takes no orders" if is_full else "takes orders again", unfinished=unfinished)
        self._is_full = is_full

    async def run(self) -> None:
        """Looks for ever; what was seen last holds while Postgres is away."""
        while True:
            try:
                await self.look()
            except (*RETRIABLE, asyncpg.PostgresError) as error:
                log.warning("unfinished orders not counted", error=repr(error))
            await asyncio.sleep(LOOK_EVERY_S)
