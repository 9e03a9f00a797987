"""The outbox and its way to Kafka, on which a process can die and messages can be lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from services.chaos.faults import Faults
from services.chaos.points import MESSAGES
from services.runtime.envelope import Outgoing, decode

Send = Callable[[Iterable[Outgoing]], Awaitable[None]]


def of_outbox(role: str, outbox: Any, faults: Faults) -> None:
    transaction, producer = outbox.transaction, outbox._producer
    post = _Post(role, producer.send, faults)

    @asynccontextmanager
    async def transaction_at(*where: Any) -> AsyncIterator[Any]:
        async with transaction(*where) as tx:
            yield tx
            await post.at("before-save", tx.messages)

    outbox.transaction, producer.send = transaction_at, post.send


class _Post:
    """`send` promises what the producer's does, but for the messages that go astray."""

    def __init__(self, role: str, send: Send, faults: Faults) -> None:
        self._known = MESSAGES[role]
        self._send = send
        self._faults = faults
        self._late: set[asyncio.Task[None]] = set()

    async def at(self, moment: str, messages: Iterable[Outgoing]) -> None:
        """All of a transaction's messages at once: what makes each of them slow makes it slow once."""
        named = [(_name(message), message.subject) for message in messages]
        points = [(f"{moment}:{name}", subject) for name, subject in named if name in self._known]
        await asyncio.gather(*(self._faults.at(*point) for point in points))

    async def send(self, messages: Iterable[Outgoing]) -> None:
        messages = list(messages)
        await self.at("before-send", messages)
        await self._send([sent for message in messages for sent in self._copies(message)])
        await self.at("after-send", messages)

    def _copies(self, message: Outgoing) -> list[Outgoing]:
        copies = [message]
        for fault in self._faults.of_message(_name(message)):
            match fault.what:
                case "drop-message":
                    copies = []
                case "duplicate-message":
                    copies *= 2
                case "delay-message":
                    late = asyncio.create_task(self._send_late(copies, fault.seconds))
                    self._late.add(late)
                    late.add_done_callback(self._late.discard)
                    copies = []
        return copies

    async def _send_late(self, messages: list[Outgoing], after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._send(messages)


def _name(message: Outgoing) -> str:
    """Ids of ours are `SUBJECT/NAME/ATTEMPT`, with `/answer` behind for an answer."""
    _, _, rest = decode(message.value).id.partition("/")
    return rest.partition("/")[0]
