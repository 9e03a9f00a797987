"""The life of one process: loops that are restarted when they fall over, HTTP, and a clean end."""

import asyncio
import gc
import random
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

from services.runtime.settings import Settings

log = structlog.get_logger()

DRAIN_S = 8
"""How long a stopping process answers the requests it has; supervisors wait a little longer."""

QUEUE_S, FAREWELL_S = 0.1, 0.3
"""For those who have knocked to come in; and for nginx to see that the connections it keeps are closing."""

Loop = Callable[[], Awaitable[None]]


def run(main: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    """Runs a process's main coroutine with logs as JSON lines on standard output."""
    settings = Settings.from_environment()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=settings.process_name)
    _collect_seldom()
    uvloop.run(main(settings))


def _collect_seldom() -> None:
    """A batch makes thousands of objects and hardly a cycle; to search all that was imported, time and again,
    for those few would cost a tenth of the processor."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class Farewell(uvicorn.Server):
    """Ends without losing an answer."""

    hurry: Callable[[], object]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shuts the door, and answers everybody who is inside. A connection is closed after its next answer,
        which says so: closed while it is idle, it would race with a request."""
        self.hurry()
        listening = [door.dup() for server in self.servers for door in server.sockets]
        for door in listening:  # nobody else may queue, or those in the queue would be cut off
            door.listen(0)
        await asyncio.sleep(QUEUE_S)
        for server in self.servers:
            server.close()
        for door in listening:
            door.close()
        until = time.monotonic() + FAREWELL_S
        while self.server_state.connections and time.monotonic() < until:
            for connection in self.server_state.connections:
                cycle = getattr(connection, "cycle", None)
                if cycle and not cycle.response_complete:
                    connection.shutdown()
            await asyncio.sleep(0.001)
        await super().shutdown(sockets)


async def serve(
    settings: Settings, app: ASGIApp, loops: Sequence[Loop], close: Loop, hurry: Callable[[], object] = int
) -> None:
    """Serves `app` until SIGTERM, then calls `hurry`, which ends whatever requests wait for; `loops` run
    beside it and are cancelled after the last answer."""
    tasks = [asyncio.create_task(_forever(loop)) for loop in loops]
    config = uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        loop="none",
        http="httptools",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_S,
        backlog=4096,
    )
    try:
        server = Farewell(config)
        server.hurry = hurry
        await server.serve()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await close()


async def _forever(loop: Loop) -> None:
    while True:
        try:
            await loop()
        except Exception:
            log.exception("a loop fell over and is restarted", loop=getattr(loop, "__qualname__", str(loop)))
        await asyncio.sleep(random.uniform(0.5, 1.5))
