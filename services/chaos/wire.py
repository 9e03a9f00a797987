"""The HTTP client's way out of a process, on which calls can be lost."""

import asyncio

import httpx
import msgspec

from services.chaos.faults import Faults
from services.contract.commit import PATH, Batch

_batches = msgspec.json.Decoder(Batch)


class Wire(httpx.AsyncBaseTransport):
    """In front of the real transport. Whom a call is for is the first part of its path, as nginx reads it."""

    def __init__(self, transport: httpx.AsyncBaseTransport, faults: Faults) -> None:
        self._transport = transport
        self._faults = faults

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        to = request.url.path.split("/")[1]
        met = {fault.what: fault for fault in self._faults.of_call(to, verbs_of(request))}
        if delay := met.get("delay"):
            await asyncio.sleep(delay.seconds)
        if "drop-request" in met or self._faults.parted_from(to):
            raise httpx.ConnectTimeout("lost on the way there", request=request)
        response = await self._transport.handle_async_request(request)
        if "duplicate" in met:
            await response.aread()
            response = await self._transport.handle_async_request(request)
        if "drop-answer" in met or self._faults.parted_from(to):
            await response.aread()
            await response.aclose()
            raise httpx.ReadTimeout("lost on the way back", request=request)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


def verbs_of(request: httpx.Request) -> frozenset[str]:
    """What is asked of a participant; nothing, if it is no such call."""
    if not request.url.path.endswith(PATH):
        return frozenset()
    return frozenset(asked.verb for asked in _batches.decode(request.content).requests)
