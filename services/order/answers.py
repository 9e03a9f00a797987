"""Single-flight and front cache for idempotency keys, in Redis; Postgres has the last word.

A key that is being worked on is marked, so that its repetitions wait instead of asking Postgres; a
finished one is answered from the cache. Whoever finishes a key hints to all replicas that it has.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
import structlog

from services.runtime import idempotency
from services.runtime.database import Database
from services.runtime.idempotency import Record
from services.runtime.outcomes import Outcomes
from services.runtime.shortcuts import Shortcuts

log = structlog.get_logger()

CHANNEL = "answers"
RUNNING_TTL_S = 60
FINISHED_TTL_S = 600
"""Most retries come at once; later ones are answered by Postgres."""

_encoder = msgspec.msgpack.Encoder()
_record = msgspec.msgpack.Decoder(Record)
_ids: msgspec.msgpack.Decoder[Iterable[str]] = msgspec.msgpack.Decoder(list[str])

T = TypeVar("T")


def _read(decoder: msgspec.msgpack.Decoder[T], value: bytes | None) -> T | None:
    """What Redis has may be anything, and then it is nothing."""
    try:
        return decoder.decode(value) if value else None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        log.warning("Redis has nonsense, going on without", error=repr(error))
        return None


class Answers:
    """Where a request's final answer is found, and waited for."""

    def __init__(self, shortcuts: Shortcuts, database: Database) -> None:
        self._shortcuts = shortcuts
        self._database = database
        self._outcomes: Outcomes[Record] = Outcomes(self._look_up)
        self._tasks: set[asyncio.Task[None]] = set()
        self.poll = self._outcomes.run
        self.close = self._outcomes.close

    async def recall(self, ids: Sequence[str]) -> dict[str, Record]:
        """What the cache knows of these keys; it may be that they run, are finished, or nothing."""
        values = await self._shortcuts.recall([f"answer:{id}" for id in ids])
        known = {id: _read(_record, value) for id, value in zip(ids, values, strict=True)}
        return {id: record for id, record in known.items() if record}

    def mark_running(self, records: Sequence[Record]) -> None:
        """Lets repetitions of these keys wait instead of asking Postgres; never hides an answer."""
        self._remember(records, RUNNING_TTL_S, None)

    def finished(self, records: Sequence[Record]) -> None:
        """Call it after the commit that made these answers final."""
        self._outcomes.resolve({record.id: record for record in records})
        if records:
            self._remember(records, FINISHED_TTL_S, _encoder.encode([record.id for record in records]))

    async def wait(self, id: str, timeout_s: float) -> Record | None:
        """The final answer of a key that runs, or None when it has not come in time."""
        return await self._outcomes.wait(id, timeout_s)

    async def stored(self, id: str) -> Record | None:
        """The final answer of a key if Postgres has it, whatever the cache says."""
        return (await self._look_up([id])).get(id)

    async def listen(self) -> None:
        await self._shortcuts.listen(CHANNEL, lambda hint: self._outcomes.hint(_read(_ids, hint) or ()))

    def _remember(self, records: Iterable[Record], ttl_s: int, hint: bytes | None) -> None:
        values = {f"answer:{record.id}": _encoder.encode(record) for record in records}
        if not values:
            return
        told = (CHANNEL, hint) if hint else None
        remember = self._shortcuts.remember(values, ttl_s=ttl_s, hint=told, if_absent=told is None)
        task = asyncio.create_task(remember)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, ids: list[str]) -> Mapping[str, Record]:
        async with self._database.connection() as sql:
            records = await idempotency.recall(sql, ids)
        return {id: record for id, record in records.items() if record.status is not None}
