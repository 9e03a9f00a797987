"""Which shards this orchestrator owns, and the proof of it in each of its transactions.

A shard belongs to the orchestrator that Kafka assigned it to. Each new owner draws a fencing number, the
shard's *epoch*, and each of its transactions checks it: an owner that was paused while another took over
can write nothing (see `services/runtime/fencing.py`).
"""

import asyncio
import time
from collections.abc import Iterable
from functools import partial

import asyncpg
import structlog

from services.runtime import fencing
from services.runtime.database import Database, insist

log = structlog.get_logger()

RECLAIM_AFTER_S = 10.0
"""Longer than Kafka takes to tell a process that was away that its shards are others' by now."""


class Shards:
    """Take `lock` for as long as what this process owns must not change: around each transaction."""

    def __init__(self, database: Database) -> None:
        self.lock = asyncio.Lock()
        self.assigned: set[int] = set()
        self.epochs: dict[int, int] = {}
        self._database = database
        self._reclaimable: set[int] = set()
        self._lost_at = 0.0

    async def own(self, shards: set[int]) -> None:
        """Kafka has assigned these shards, and no others, to this process.

        Their messages may arrive before the last of them is claimed; whoever handles them waits for that.
        """
        async with self.lock:
            self.assigned, self.epochs, self._reclaimable = set(shards), {}, set(shards)
            for shard in sorted(shards):
                await insist(partial(self._claim, shard))

    async def check(self, sql: asyncpg.Connection, shards: Iterable[int]) -> None:
        """Raises StaleHolder unless this process owns all of these, until `sql` commits."""
        missing = sorted(set(shards) - self.epochs.keys())
        if missing:
            raise fencing.StaleHolder([fence_of(shard) for shard in missing])
        await fencing.check(sql, {fence_of(shard): self.epochs[shard] for shard in shards})

    def lose(self, names: Iterable[str]) -> None:
        """Others have drawn the numbers of these fences."""
        names = set(names)
        self.epochs = {shard: epoch for shard, epoch in self.epochs.items() if fence_of(shard) not in names}
        self._lost_at = time.monotonic()

    def lose_all(self) -> None:
        """Until Kafka assigns them again, even if they are the same."""
        self.epochs, self._reclaimable = {}, set()

    async def reclaim(self) -> None:
        """Claims again what was lost to a former owner that came late, if Kafka still says that it is ours.

        Once an assignment: two who both believe that do not fight. A message to a shard that is lost all
        the same makes its reader ask Kafka (see `Driver.handle`).
        """
        async with self.lock:
            lost = self._reclaimable - self.epochs.keys()
            if lost and time.monotonic() - self._lost_at > RECLAIM_AFTER_S:
                self._reclaimable -= lost
                for shard in sorted(lost):
                    await insist(partial(self._claim, shard))

    async def _claim(self, shard: int) -> None:
        async with self._database.transaction() as sql:
            epoch = await fencing.issue(sql, fence_of(shard))
        self.epochs[shard] = epoch
        log.info("owns a shard", shard=shard, epoch=epoch)


def fence_of(shard: int) -> str:
    return f"shard:{shard}"
