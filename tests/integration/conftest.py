"""The real parts of a running stack, to be used by one test at a time."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from infra.native import Stack
from services.runtime.database import Database

ORCHESTRATORS = ("orchestrator-1", "orchestrator-2")


@pytest.fixture
async def database(native: Stack, stack: dict[str, Any]) -> AsyncIterator[Database]:
    """The orchestrator's, while no orchestrator runs."""
    native.supervisor.stop(*ORCHESTRATORS)
    database = Database(stack["databases"]["orchestrator"]["owner"])
    yield database
    async with database.connection() as sql:
        await sql.execute("DELETE FROM sagas WHERE payload LIKE '%a test of owners%'::bytea")
        await sql.execute("DELETE FROM transactions WHERE works LIKE '%a test of owners%'::bytea")
        await sql.execute("DELETE FROM outbox WHERE owner LIKE 'test-%'")
    await database.close()
    for name in ORCHESTRATORS:
        native.supervisor.start(name)
    native.wait_ready(*ORCHESTRATORS)
