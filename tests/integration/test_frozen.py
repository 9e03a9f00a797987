"""A process that is stopped between the parts of a statement keeps its locks no longer than another."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from services.runtime import database as module
from services.runtime.database import AWAY, Database
from tests.e2e.shopper import eventually

NAME = "a row of this test's"


@pytest.fixture
async def frozen(stack: dict[str, Any]) -> AsyncIterator[asyncpg.Connection]:
    """A session of the payment's that has locked a row, and then only begun to ask for something."""
    sql = await asyncpg.connect(stack["databases"]["payment"]["owner"])
    await sql.execute("INSERT INTO fences VALUES ($1, 1) ON CONFLICT DO NOTHING", NAME)
    await sql.execute("BEGIN")
    await sql.execute("SELECT FROM fences WHERE name = $1 FOR UPDATE", NAME)
    await sql.prepare("SELECT 'and stands still'")
    yield sql
    sql.terminate()


async def is_free(stack: dict[str, Any]) -> bool:
    sql = await asyncpg.connect(stack["databases"]["payment"]["owner"])
    try:
        return bool(await sql.fetch("SELECT FROM fences WHERE name = $1 FOR UPDATE SKIP LOCKED", NAME))
    finally:
        await sql.close()


async def test_the_janitors_end_its_session(stack: dict[str, Any], frozen: asyncpg.Connection) -> None:
    assert not await is_free(stack)
    await eventually(lambda: is_free(stack), True, within_s=20)


async def test_nobody_else_is_ended(
    stack: dict[str, Any], frozen: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither who is idle, in a transaction or not, nor who waits for Postgres, nor who only just began."""
    monkeypatch.setattr(module, "IDLE_S", 2)
    pid, database = frozen.get_server_pid(), Database(stack["databases"]["payment"]["owner"])
    idle, within = [await asyncpg.connect(stack["databases"]["payment"]["owner"]) for _ in range(2)]
    await within.execute("BEGIN; SELECT 1")
    assert await database.end_frozen() == 0

    async def is_ended() -> bool:
        await database.end_frozen()
        return not await idle.fetch("SELECT FROM pg_stat_activity WHERE pid = $1", pid)

    await eventually(is_ended, True)
    assert [await sql.fetchval("SELECT 1") for sql in (idle, within)] == [1, 1]
    with pytest.raises(AWAY):
        await frozen.fetchval("SELECT 1")
    for sql in (idle, within):
        await sql.close()
    await database.close()
