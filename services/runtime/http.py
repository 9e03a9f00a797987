"""What every HTTP service of ours has: strict JSON, problem+json, health, metrics."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import asyncpg
import structlog
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from services.runtime import strict_json
from services.runtime.database import RETRIABLE
from services.runtime.problems import Problem, documented

log = structlog.get_logger()

Endpoint = Callable[[Request], Awaitable[Response]]

LARGEST_BODY = 1 << 20
LARGEST_IMPORT = 32 << 20

MOST_VALUES = 2_000
"""In a body that is no import: ten times what a request says in earnest."""

AWAY = (503, "temporarily-unavailable", "a database is away; repeat the request")
UNREADABLE = (
    (400, "malformed-json", "Expecting value (line 1, column 1)"),
    (413, "body-too-large", f"the body may have at most {LARGEST_BODY} bytes"),
    (415, "unsupported-media-type", "send the body as Content-Type: application/json"),
)
INVALID = (422, "invalid-request", "limit: Input should be greater than or equal to 1")
IMPORTING = (429, "too-many-requests", "another import is under way; repeat the request when it is done")
FOR_OPERATORS = (
    401,
    "operator-only",
    "this is for operators: send Authorization: Bearer <the operator token>",
)

OPERATOR = Depends(HTTPBearer(scheme_name="operator token", auto_error=False))
"""Declares in OpenAPI what `require_operator` checks."""

OFF_THE_LOOP = 1 << 16
"""A larger body is parsed in a thread, so that nobody waits for it."""


class Strict(BaseModel):
    """A request or response body: no guessing of types, no unknown members."""

    model_config = ConfigDict(strict=True, extra="forbid")


async def read_body(request: Request, largest: int) -> bytes:
    """A body that says it is JSON, and nothing around it. Raises Problem 415 or 413."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        detail = "send the body as it is, without a Content-Encoding"
        raise Problem(415, "unsupported-media-type", detail, headers={"Accept-Encoding": "identity"})
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(415, "unsupported-media-type", "send the body as Content-Type: application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > largest:
            raise Problem(413, "body-too-large", f"the body may have at most {largest} bytes")
    return bytes(body)


async def read_json(request: Request, largest: int = LARGEST_BODY) -> Any:
    """The JSON body. Raises Problem 415, 413 or 400."""
    body = await read_body(request, largest)
    most_values = MOST_VALUES if largest == LARGEST_BODY else strict_json.MOST_VALUES
    try:
        if len(body) > OFF_THE_LOOP:
            return await asyncio.to_thread(strict_json.loads, body, most_values)
        return strict_json.loads(body, most_values)
    except strict_json.NotJson as error:
        raise Problem(400, "malformed-json", str(error)) from None


class StrictRoute(APIRoute):
    """A route whose JSON body is read by `read_json`, and whose documentation tells of our errors; everything
    else is FastAPI's."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        told = (*(UNREADABLE if self.body_field else ()), INVALID) if self.body_field or _asks(self) else ()
        told = (*told, IMPORTING) if path.endswith("/import") else told
        self.responses = documented(*told, AWAY) | self.responses
        if not self.summary:
            self.summary, *rest = re.split(r"\.(?:\s+|$)", self.description, maxsplit=1)
            self.description = "".join(rest)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle
        is_import = self.path.endswith("/import")
        largest = LARGEST_IMPORT if is_import else LARGEST_BODY

        async def strict(request: Request) -> Response:
            # Starlette keeps a parsed body here, and FastAPI asks Starlette for it.
            request._json = await read_json(request, largest)
            request._body = b"null"  # the raw body has been consumed
            return await handle(request)

        if not is_import:
            return strict
        importing = asyncio.Lock()

        async def in_turn(request: Request) -> Response:
            if importing.locked():
                async for _ in request.stream():  # or it could be cut off before it reads the answer
                    pass
                raise Problem(*IMPORTING, headers={"Retry-After": "2"})
            async with importing:
                return await strict(request)

        return in_turn


def _asks(route: APIRoute) -> bool:
    told = route.dependant
    return bool(told.path_params or told.query_params or told.header_params)


class HotRoute:
    """An application with one route in front of it that skips the framework.

    FastAPI's layers cost more than all the rest of such a request. Its errors are answered the same way.
    A route of the application with the same path, which is never reached, documents it.
    """

    def __init__(self, app: ASGIApp, method: str, path: str, endpoint: Endpoint) -> None:
        self._app = app
        self._key = (method, path)
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != self._key:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await self._endpoint(request)
        except Problem as problem:
            response = problem.response()
        except RETRIABLE as error:
            response = await _away(request, error)
        except Exception as error:
            response = await _broken(request, error)
        await response(scope, receive, send)


def create_app(title: str, description: str, ready: Callable[[], Awaitable[bool]]) -> FastAPI:
    """An application with /livez, /readyz, /metrics, /openapi.json and /docs, and our errors."""
    app = FastAPI(title=title, description=description, version="1", redoc_url=None, redirect_slashes=False)
    app.router.route_class = StrictRoute
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for kind in RETRIABLE:
        app.add_exception_handler(kind, _away)
    app.add_exception_handler(asyncpg.PostgresError, _broken)
    app.add_exception_handler(Exception, _broken)

    @app.get("/livez", tags=["health"])
    async def livez() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @app.get("/readyz", tags=["health"])
    async def readyz() -> dict[str, str]:
        """The process is attached to its database and to Kafka; 503 otherwise."""
        if not await ready():
            detail = "not attached to the database or to Kafka"
            raise Problem(503, "not-ready", detail, headers={"Retry-After": "1"})
        return {"status": "ready"}

    @app.get("/metrics", tags=["health"], include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


def require_operator(request: Request, token: str) -> None:
    require(request, token, "operator")


def require(request: Request, token: str, role: str) -> None:
    """Raises Problem 401 unless the request carries the bearer token of this role."""
    given = request.headers.get("authorization", "")
    if not secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
        detail = f"this is for {role}s: send Authorization: Bearer <the {role} token>"
        raise Problem(401, f"{role}-only", detail, headers={"WWW-Authenticate": "Bearer"})


def invalid(error: Any) -> Problem:
    """What pydantic found wrong, as one Problem 422 that says where and what."""
    errors = [
        {"where": ".".join(str(part) for part in e["loc"] if part != "body") or "body", "what": _words(e)}
        for e in error.errors()[:20]
    ]
    detail = "; ".join(f"{e['where']}: {e['what']}" for e in errors[:3])
    return Problem(422, "invalid-request", detail, errors=errors)


def _words(error: Any) -> str:
    """Pydantic's, except where they are about Python."""
    if error["type"] == "extra_forbidden":
        return "must be left out: there is no such member"
    return str(error["msg"]).removeprefix("Value error, ")


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _invalid(request: Request, error: Exception) -> Response:
    return invalid(error).response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "http-error")
    detail = "there is nothing at this path" if error.status_code == 404 else str(error.detail)
    return Problem(error.status_code, kind, detail, headers=error.headers).response()


async def _away(request: Request, error: Exception) -> Response:
    """Whether it took effect is unknown; repeating the request with the same key finds out."""
    log.warning("answered 503", path=request.url.path, error=repr(error))
    detail = "a database is away; repeat the request, with the same Idempotency-Key if it had one"
    return Problem(503, "temporarily-unavailable", detail, headers={"Retry-After": "1"}).response()


async def _broken(request: Request, error: Exception) -> Response:
    log.error("answered 500", path=request.url.path, exc_info=error)
    return Problem(500, "internal-error", "our fault; it has been logged").response()
