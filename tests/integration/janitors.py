"""A janitor of no service, with chores of a test, beside those of a running stack."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from services.contract import topics
from services.runtime.bus import Producer
from services.runtime.database import Database
from services.runtime.janitor import Chore, Janitor
from services.runtime.outbox import Outbox
from services.runtime.plumbing import Plumbing
from services.runtime.shortcuts import Shortcuts
from tests.integration.loops import running


class NothingLeft(Outbox):
    async def adopt(self, *, predecessor: bool = False) -> int:
        return 0


@contextlib.asynccontextmanager
async def at_work(stack: dict[str, Any], database: Database, *chores: Chore) -> AsyncIterator[str]:
    """Gives the name of its lease."""
    name = f"test-{uuid4()}"
    producer, shortcuts = Producer("nowhere:1", topics.PARTITIONS), Shortcuts(stack["redis_url"])
    outbox = NothingLeft(name, database, producer)
    parts = Plumbing(name, database, database, producer, outbox, shortcuts)
    async with running(Janitor(name, parts, chores).run):
        yield f"janitor:{name}"
    async with database.connection() as sql:
        await sql.execute("DELETE FROM fences WHERE name = $1", f"janitor:{name}")
    await shortcuts.close()
