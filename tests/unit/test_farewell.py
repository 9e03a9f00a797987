"""A process that ends answers whoever had come before."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from services.runtime.process import Farewell
from tests.unit.turns import turn

REQUEST = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"


class Counter:
    """An application that lets everybody wait until it is told to hurry."""

    def __init__(self) -> None:
        self.asked = 0
        self.hurry = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        await self.hurry.wait()
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
async def server(counter: Counter) -> AsyncIterator[Farewell]:
    config = uvicorn.Config(counter, port=0, http="httptools", loop="none", lifespan="off", log_config=None)
    server = Farewell(config)
    server.hurry = counter.hurry.set
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield server


def knock(server: Farewell) -> socket.socket:
    """Connects and asks, all within one turn of the loop: nobody has been let in yet."""
    client = socket.create_connection(server.servers[0].sockets[0].getsockname())
    client.sendall(REQUEST)
    client.setblocking(False)
    return client


async def head(client: socket.socket) -> bytes:
    return (await asyncio.get_running_loop().sock_recv(client, 4096)).partition(b"\r\n\r\n")[0]


async def test_those_who_wait_and_those_in_the_queue_are_answered(counter: Counter, server: Farewell) -> None:
    waiting = [knock(server) for _ in range(10)]
    while counter.asked < len(waiting):
        await turn()
    queueing = [knock(server) for _ in range(50)]
    await asyncio.wait_for(server.shutdown(), 10)
    for client in waiting + queueing:
        answer = await asyncio.wait_for(head(client), 2)
        assert answer.startswith(b"HTTP/1.1 202"), answer
        client.close()
    assert not server.server_state.connections


async def test_a_connection_that_is_kept_is_closed_after_its_next_answer(
    counter: Counter, server: Farewell
) -> None:
    counter.hurry.set()
    kept = knock(server)
    assert b"202" in await asyncio.wait_for(head(kept), 2)
    ending = asyncio.create_task(server.shutdown())
    await turn()
    await asyncio.get_running_loop().sock_sendall(kept, REQUEST)
    assert b"202" in await asyncio.wait_for(head(kept), 2)
    await asyncio.wait_for(ending, 10)
    kept.close()
