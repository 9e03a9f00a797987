"""Nothing is under way any more."""

import asyncio
import time

import asyncpg

from lab.doubt import in_doubt
from lab.state import Stack, Trouble

RECOVERED_S = 120.0

STRANDED = """
    select (select count(*) from transactions where running and started_at <= $1)
        + (select count(*) from sagas where running and started_at <= $1)
"""


async def all_ended(stack: Stack) -> None:
    """All transactions and sagas that have begun by now have ended. Raises Trouble when they do not."""
    sql = await asyncpg.connect(stack.databases["orchestrator"].audit)
    try:
        now, until = await sql.fetchval("select clock_timestamp()"), time.monotonic() + RECOVERED_S
        while left := await sql.fetchval(STRANDED, now):
            if time.monotonic() > until:
                raise Trouble(f"{left} orders were still under way after {RECOVERED_S:.0f} s.")
            await asyncio.sleep(0.1)
    finally:
        await sql.close()


async def left_prepared(stack: Stack) -> list[str]:
    """What is prepared although nobody orders any more."""
    until = time.monotonic() + RECOVERED_S
    while found := await in_doubt(stack):
        if time.monotonic() > until:
            return [f"{doubt.gid} is still prepared by {doubt.participant}" for doubt in found[:3]]
        await asyncio.sleep(0.2)
    return []
