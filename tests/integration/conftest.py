"""The real parts of a running stack, to be used by one test at a time."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from infra.native import Stack
from lab import state
from lab.databases import Databases, connected
from services.runtime.database import Database
from tests.integration.commits import database_of, make
from tests.integration.damages import plant

ORCHESTRATORS = ("orchestrator-1", "orchestrator-2")


@pytest.fixture(scope="module")
def no_orchestrators(native: Stack) -> Iterator[None]:
    """None runs until a module of tests that play one has ended."""
    native.supervisor.stop(*ORCHESTRATORS)
    yield
    for name in ORCHESTRATORS:
        native.supervisor.start(name)
    native.wait_ready(*ORCHESTRATORS)


@pytest.fixture
async def database(no_orchestrators: None, stack: dict[str, Any]) -> AsyncIterator[Database]:
    """The orchestrator's, while no orchestrator runs."""
    database = Database(stack["databases"]["orchestrator"]["owner"])
    yield database
    async with database.connection() as sql:
        await sql.execute("DELETE FROM sagas WHERE payload LIKE '%a test of owners%'::bytea")
        await sql.execute("DELETE FROM transactions WHERE works LIKE '%a test of owners%'::bytea")
        await sql.execute("DELETE FROM outbox WHERE owner LIKE 'test-%'")
    await database.close()


@pytest_asyncio.fixture
async def quiet(native: Stack, told: state.Stack) -> state.Stack:
    """The servers of the stack, and databases without the orders of other tests."""
    urls = {service: database_of(native, service, "audit") for service in state.SERVICES}
    for service, url in urls.items():
        await make(native, service, url)
    return replace(told, databases={service: state.Login(url, url) for service, url in urls.items()})


@pytest_asyncio.fixture
async def databases(quiet: state.Stack) -> AsyncIterator[Databases]:
    """The four databases as their owners see them, in transactions that end in a rollback."""
    async with connected(quiet, state.SERVICES, "owner") as found:
        transactions = [connection.transaction() for connection in found.values()]
        for transaction in transactions:
            await transaction.start()
        try:
            await plant(found)
            yield found
        finally:
            for transaction in transactions:
                await transaction.rollback()
