"""Redis, as a way to be faster and never as the referee.

Everything here may be lost, stale or doubled at any moment (a flush, a restart, an expiry, a fail-over)
and nothing goes wrong: the caller asks Postgres then. While Redis is away calls return at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import LockError, RedisError

log = structlog.get_logger()

AWAY_FOR_S = 1.0
"""After a failure, how long Redis is not asked again."""

TIMEOUT_S = 0.25

T = TypeVar("T")

# One command for a whole batch costs the client a fraction of a pipeline.
REMEMBER = """
    for i, key in ipairs(KEYS) do
        if ARGV[4] == '' then redis.call('SET', key, ARGV[i + 4], 'EX', ARGV[1])
        else redis.call('SET', key, ARGV[i + 4], 'EX', ARGV[1], 'NX') end
    end
    if ARGV[2] ~= '' then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
"""


class Shortcuts:
    """A Redis client whose every call has a default for when Redis is away."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
        self._url = url
        self._away_until = 0.0
        self._missed = False

    @property
    def is_away(self) -> bool:
        return time.monotonic() < self._away_until

    async def _try(self, call: Callable[[Redis], Awaitable[T]], otherwise: T) -> T:
        if self.is_away:
            return otherwise
        try:
            result = await call(self._redis)
        except (RedisError, OSError, TimeoutError) as error:
            self._note(error)
            self._away_until = time.monotonic() + AWAY_FOR_S
            return otherwise
        self._note(None)
        return result

    def _note(self, error: Exception | None) -> None:
        """Logs that Redis went away, or is back: once each."""
        if error and not self._missed:
            log.warning("Redis is away, going on without", error=repr(error))
        elif self._missed and not error:
            log.info("Redis is back")
        self._missed = error is not None

    async def recall(self, keys: Sequence[str]) -> list[bytes | None]:
        """The cached values; None for what is not there."""

        async def call(redis: Redis) -> list[bytes | None]:
            return [value if isinstance(value, bytes) else None for value in await redis.mget(keys)]

        return await self._try(call, [None] * len(keys))

    async def remember(
        self,
        values: Mapping[str, bytes],
        *,
        ttl_s: int,
        hint: tuple[str, bytes] | None = None,
        if_absent: bool = False,
    ) -> None:
        """Caches values and, in the same round trip, publishes a hint (channel, message)."""

        async def call(redis: Redis) -> None:
            arguments = (ttl_s, *(hint or ("", b"")), "x" if if_absent else "")
            await redis.eval(REMEMBER, len(values), *values, *arguments, *values.values())

        await self._try(call, None)

    async def listen(self, channel: str, heard: Callable[[bytes], None]) -> None:
        """Calls `heard` with each message of a channel, for ever. Messages are missed while Redis is away."""
        while True:
            try:
                async with (
                    Redis.from_url(self._url, socket_connect_timeout=1) as redis,
                    redis.pubsub() as pubsub,
                ):
                    await pubsub.subscribe(channel)
                    self._note(None)
                    async for message in pubsub.listen():
                        if message["type"] == "message":
                            heard(message["data"])
            except (RedisError, OSError, TimeoutError) as error:
                self._note(error)
            await asyncio.sleep(0.5)

    async def lock(self, name: str, *, ttl_s: float, wait_s: float = 0.0) -> Lock | None:
        """A lock that keeps most others away (`SET NX PX`, released by compare-and-delete), or None.

        Never proof of exclusion: pair it with a number of `fencing`.
        """

        async def call(redis: Redis) -> Lock | None:
            lock = redis.lock(name, timeout=ttl_s, sleep=0.01, blocking_timeout=wait_s, blocking=wait_s > 0)
            return lock if await lock.acquire() else None

        return await self._try(call, None)

    async def unlock(self, locks: Iterable[Lock]) -> None:
        """Releases what is still held; an expired lock is somebody else's by now and left alone."""
        for lock in locks:
            try:
                await lock.release()
            except (LockError, RedisError, OSError, TimeoutError) as error:
                log.info("lock not released", error=repr(error))

    async def close(self) -> None:
        await self._redis.aclose()
