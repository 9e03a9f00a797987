"""Fencing numbers: Postgres, not the lock server, decides who may write.

A lock or a lease tells its holder that it may go on; it cannot stop a holder that was paused while the
lock expired (Kleppmann, "How to do distributed locking", 2016). So each new holder draws a higher
number for the same name, and each write checks, in its own transaction, that its number is still the
highest. The check takes a share lock on the row, so that a successor cannot draw its number between
the check and the commit.
"""

from collections.abc import Mapping

import asyncpg

ISSUE = """
    INSERT INTO fences (name, number) VALUES ($1, 1)
    ON CONFLICT (name) DO UPDATE SET number = fences.number + 1 RETURNING number
"""
CHECK = "SELECT name, number FROM fences WHERE name = ANY($1::text[]) ORDER BY name FOR SHARE"


class StaleHolder(Exception):
    """Somebody else holds this by now: nothing was written, and nothing may be."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"taken over by another holder: {', '.join(names)}")
        self.names = names


async def issue(sql: asyncpg.Connection, name: str) -> int:
    """Draws the next number of `name`; from its commit on, all earlier holders are stale."""
    number: int = await sql.fetchval(ISSUE, name)
    return number


async def check(sql: asyncpg.Connection, held: Mapping[str, int]) -> None:
    """Raises StaleHolder unless every number held is the latest of its name, until `sql` commits."""
    if not held:
        return
    rows = await sql.fetch(CHECK, sorted(held))
    latest = {row["name"]: row["number"] for row in rows}
    stale = sorted(name for name, number in held.items() if latest.get(name) != number)
    if stale:
        raise StaleHolder(stale)
