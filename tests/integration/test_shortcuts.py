"""Redis may know nothing, or nonsense: then Postgres is asked."""

from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from services.runtime.answers import Answers
from services.runtime.database import Database
from services.runtime.idempotency import Record
from services.runtime.shortcuts import Shortcuts
from tests.e2e.shopper import eventually


@pytest.mark.parametrize("nonsense", [b"\xc1", b"nonsense", b"\x95\xa1x\xc0\xc0\xc0\xc0", b"\xa2\xff\xfe"])
async def test_nonsense_in_the_cache_is_not_known(stack: dict[str, Any], nonsense: bytes) -> None:
    good, bad = (str(uuid4()) for _ in range(2))
    record = Record(good, b"", None, 201, "{}")
    shortcuts = Shortcuts(stack["redis_url"])
    answers = Answers(shortcuts, Database(stack["databases"]["order"]["audit"]))
    answers.finished([record])
    async with Redis.from_url(stack["redis_url"]) as redis:
        await redis.set(f"answer:{bad}", nonsense, ex=60)
    await eventually(lambda: answers.recall([bad, good]), {good: record})
    await shortcuts.close()
