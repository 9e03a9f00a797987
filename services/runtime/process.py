"""The life of one process: loops that are restarted when they fall over, HTTP, and a clean end."""

import asyncio
import gc
import random
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


async def serve(settings: Settings, app: ASGIApp, loops: Sequence[Loop], close: Loop) -> None:
    """Serves `app` until SIGTERM; `loops` run beside it and are cancelled after the last answer."""
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
        await uvicorn.Server(config).serve()
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
