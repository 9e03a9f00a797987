"""Connections are kept, and a failure says whether the request may have been heard."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from orchestrator.kept_alive import KeptAlive

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[tuple[httpx.AsyncClient, list[int]]]:
    """A client of a server that takes requests with a body; and how many came over each connection."""
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(connections)
        connections.append(0)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                connections[number] += 1
                await answer(await reader.readexactly(length), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, httpx.AsyncClient(base_url=url, transport=KeptAlive(url), timeout=0.2) as client:
        yield client, connections


async def echo(body: bytes, writer: asyncio.StreamWriter) -> None:
    for part in (b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: %d\r\n\r\n" % len(body), body):
        writer.write(part)
        await writer.drain()


async def test_one_connection_carries_one_request_after_the_other_and_others_come_with_need() -> None:
    async with served(echo) as (client, connections):
        for text in (b"one", b"two"):
            assert (await client.post("/x", content=text)).content == text
        assert connections == [2]
        answers = await asyncio.gather(*(client.post("/x", content=b"%d" % n) for n in range(5)))
        assert [answer.content for answer in answers] == [b"%d" % n for n in range(5)]
        assert sum(connections) == 7 and 2 <= len(connections) <= 5


async def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    async def once(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Away\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with served(once) as (client, connections):
        assert [(await client.post("/x", content=b"?")).status_code for _ in range(2)] == [503, 503]
        assert connections == [1, 1]


async def test_silence_nonsense_and_a_lost_connection_are_errors_after_which_the_next_call_succeeds() -> None:
    async def fail(body: bytes, writer: asyncio.StreamWriter) -> None:
        if body == b"nonsense":
            writer.write(b"this is no HTTP\r\n\r\n")
        elif body == b"lost":
            writer.close()
        elif body != b"silence":
            await echo(body, writer)

    async with served(fail) as (client, _):
        for body, error in (
            (b"silence", httpx.ReadTimeout),
            (b"nonsense", httpx.ReadError),
            (b"lost", httpx.ReadError),
        ):
            with pytest.raises(error):
                await client.post("/x", content=body)
            assert (await client.post("/x", content=b"well")).content == b"well"


async def test_who_is_not_there_has_heard_nothing() -> None:
    async with served(echo) as (client, _):
        url = str(client.base_url)
    async with httpx.AsyncClient(base_url=url, transport=KeptAlive(url)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.post("/x", content=b"?")
