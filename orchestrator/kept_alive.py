"""HTTP/1.1 for calls between our own processes, as a transport of httpx.

What httpx brings for this costs ten times as much: two thirds of a busy coordinator's CPU time. This one
knows one address and keeps its connections; one request at a time goes over each.
"""

import asyncio
import time
from typing import cast

import httptools
import httpx

IDLE_S = 30.0
"""nginx closes what has been idle for 75 s. What is younger is not closed while a request is on its way."""


class KeptAlive(httpx.AsyncBaseTransport):
    """Raises httpx's errors. A request that failed may have been heard, unless it was a ConnectError."""

    def __init__(self, url: str) -> None:
        address = httpx.URL(url)
        self._host, self._port = address.host, address.port or 80
        self._idle: list[_Connection] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        timeout = request.extensions["timeout"]
        body = await request.aread()
        connection = self._kept() or await self._connect(timeout["connect"])
        try:
            async with asyncio.timeout(timeout["read"]):
                status, headers, content = await connection.ask(_wire(request, body))
        except TimeoutError:
            connection.close()
            raise httpx.ReadTimeout("no answer", request=request) from None
        except (OSError, httptools.HttpParserError) as error:
            connection.close()
            raise httpx.ReadError(str(error), request=request) from None
        except asyncio.CancelledError:
            connection.close()
            raise
        if connection.is_open:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        return httpx.Response(status, headers=headers, content=content, request=request)

    def _kept(self) -> "_Connection | None":
        """The one that was used last: the others can grow old."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and time.monotonic() - connection.idle_since < IDLE_S:
                return connection
            connection.close()
        return None

    async def _connect(self, timeout_s: float | None) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await loop.create_connection(_Connection, self._host, self._port)
        except TimeoutError:
            raise httpx.ConnectTimeout("no connection") from None
        except OSError as error:
            raise httpx.ConnectError(str(error)) from None
        return connection

    async def aclose(self) -> None:
        while self._idle:
            self._idle.pop().close()


def _wire(request: httpx.Request, body: bytes) -> bytes:
    lines = [f"{request.method} {request.url.raw_path.decode()} HTTP/1.1".encode()]
    lines += [name + b": " + value for name, value in request.headers.raw if name.lower() != b"connection"]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, list[tuple[bytes, bytes]], bytes]] | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body of the answer."""
        if self._transport is None:
            raise ConnectionResetError("closed by the other side")
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but ancestry

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(exc or ConnectionResetError("closed by the other side"))

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # nobody has asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)
            self.close()

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # What the parser finds:

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and not self._answer.done():
            answer = self._parser.get_status_code(), self._headers, b"".join(self._body)
            self._answer.set_result(answer)
