"""A server's disk is full for a while, under load: nothing acknowledged is lost, and all goes on by itself.

`make storms` fills one; `make storms ALL=1` all of them, under each protocol that uses them.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import asyncpg
import pytest

from infra.native import Stack
from lab.state import Stack as Told
from services.chaos.points import ORCHESTRATOR
from services.contract.commit import PARTICIPANTS
from tests.chaos.small_disk import fill, free, small_disk
from tests.chaos.superuser import superuser
from tests.e2e.shopper import pause
from tests.e2e.witness import Witness, report

RATE, LOAD_S, FULL_S = 60.0, 20.0, 10.0
SERVERS = ("kafka", *(f"pg-{name}" for name in (*PARTICIPANTS, ORCHESTRATOR)))
CHOSEN = [("saga", "kafka")]
ALL = [(protocol, server) for protocol in ("saga", "2pc", "3pc") for server in SERVERS]

pytestmark = [pytest.mark.timeout(240), pytest.mark.usefixtures("seeded")]


@pytest.mark.parametrize(("protocol", "server"), ALL if os.environ.get("STORMS_ALL") else CHOSEN)
async def test_nothing_is_lost_while_the_disk_is_full(
    native: Stack, told: Told, protocol: str, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, exits = await dead_letters(told), native.supervisor.exits(server)
    with small_disk(native, server) as disk:
        witness = Witness(told, RATE, seconds=LOAD_S, protocol=protocol)
        await pause(3.0)
        async with postgres(native, told, server) as sql:
            for _ in range(int(FULL_S)):
                await asyncio.to_thread(fill, disk)
                await wants_room(sql)
                await pause(1.0)
        await asyncio.to_thread(free, disk)
        await asyncio.to_thread(native.wait_ready, server)
        verdict = await witness.clean()
    assert await dead_letters(told) == before, "a full disk is no fault of a message"
    ended = native.supervisor.exits(server) - exits
    report(capsys, f"{protocol}, {server}'s disk is full, it ended {ended} times", verdict)


@contextlib.asynccontextmanager
async def postgres(native: Stack, told: Told, server: str) -> AsyncIterator[asyncpg.Connection | None]:
    """A superuser's session in this server, if it is one: there will be no new ones."""
    service = server.removeprefix("pg-")
    if service not in told.databases:
        yield None
        return
    sql = await superuser(native, told, service)
    try:
        yield sql
    finally:
        sql.terminate()


async def wants_room(sql: asyncpg.Connection | None) -> None:
    """For a new piece of its WAL. Postgres dies without."""
    if sql and not sql.is_closed():
        with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await sql.execute("SELECT pg_switch_wal()", timeout=2)


async def dead_letters(told: Told) -> int:
    found = 0
    for database in told.databases.values():
        sql = await asyncpg.connect(database.audit)
        found += await sql.fetchval("SELECT count(*) FROM dead_letters")
        await sql.close()
    return found
