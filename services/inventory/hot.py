"""A lock in front of a hot product, so that replicas queue for it outside Postgres.

When most orders want one product, each replica's batch waits for that product's stock row inside an open
transaction, with every other row of the batch locked. With the lock it waits in Redis, with nothing
locked. The lock is a courtesy: without it, or with two holders at once, the row lock still decides; and
a holder whose lock ran out while it was paused is refused by its fencing number, and starts over.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from services.contract.messages import HoldStock
from services.runtime import fencing
from services.runtime.database import Database
from services.runtime.shortcuts import Shortcuts
from services.runtime.worker import Command

HOT_SHARE = 0.3
FEWEST_HOLDS = 8
"""A product is hot when a batch of at least so many holds wants it at least this often."""

LOCK_TTL_S = 2.0
"""Many times what a batch takes; a holder that dies blocks nobody for longer."""

PATIENCE_S = 0.1
"""Then the batch goes on without the lock."""


def hot_product(commands: Sequence[Command]) -> str | None:
    """The product that this batch's holds crowd around, if any."""
    holds = [command.message.lines for command in commands if isinstance(command.message, HoldStock)]
    if len(holds) < FEWEST_HOLDS:
        return None
    [(sku, wanted)] = Counter(line.sku for lines in holds for line in lines).most_common(1)
    return sku if wanted >= HOT_SHARE * len(holds) else None


class HotProducts:
    """`guard` is what the inventory's worker holds while a batch runs."""

    def __init__(self, database: Database, shortcuts: Shortcuts) -> None:
        self._database = database
        self._shortcuts = shortcuts

    @asynccontextmanager
    async def guard(self, commands: Sequence[Command]) -> AsyncIterator[Mapping[str, int]]:
        """Yields the fencing number of the hot product's lock; nothing when none is hot or none to be had."""
        sku = hot_product(commands)
        name = f"hot:{sku}"
        lock = await self._shortcuts.lock(name, ttl_s=LOCK_TTL_S, wait_s=PATIENCE_S) if sku else None
        if lock is None:
            yield {}
            return
        try:
            async with self._database.transaction() as sql:
                number = await fencing.issue(sql, name)
            yield {name: number}
        finally:
            await self._shortcuts.unlock([lock])
