"""Which orders and transactions a service still needs what is on record of: a route, and who asks there."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import httpx
import msgspec
from fastapi import FastAPI, Request, Response
from msgspec import Struct

from services.runtime.database import Database
from services.runtime.http import require
from services.runtime.ids import is_uuid
from services.runtime.problems import Problem

PATH = "/needed"
MOST = 1_000
"""Ids in an answer. Beyond the last one nothing is known, and so nothing may be forgotten."""

PATIENCE_S = 0.5
"""Who asks has a transaction open, with nothing but a fencing number locked."""


class Answer(Struct):
    ids: tuple[UUID, ...]
    complete: bool


class Needed(NamedTuple):
    """Of the ids from some first one `up_to` another (None: all that follow), only `ids` are needed."""

    ids: Sequence[UUID]
    up_to: UUID | None


class NeededRoute:
    """For the other services. `statement` gives the ids from $1 on, sorted, not more than $2."""

    def __init__(self, database: Database, statement: str, token: str) -> None:
        self._database = database
        self._statement = statement
        self._token = token

    def add_to(self, app: FastAPI) -> None:
        app.get(PATH, include_in_schema=False)(self._get)

    async def _get(self, request: Request) -> Response:
        require(request, self._token, "participant")
        first = request.query_params.get("first", "")
        if not is_uuid(first):
            raise Problem(422, "invalid-request", "first: must be an id")
        async with self._database.connection() as sql:
            ids = tuple(row["id"] for row in await sql.fetch(self._statement, first, MOST))
        answer = Answer(ids, complete=len(ids) < MOST)
        return Response(msgspec.json.encode(answer), media_type="application/json")


class Asking:
    """Asks one service. Raises httpx.HTTPError or ValueError when it does not answer: nothing is known."""

    def __init__(self, client: httpx.AsyncClient, service: str, token: str) -> None:
        self._client = client
        self._url = f"/{service}{PATH}"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def since(self, first: UUID) -> Needed:
        params = {"first": str(first)}
        response = await self._client.get(self._url, params=params, headers=self._headers, timeout=PATIENCE_S)
        answer = msgspec.json.decode(response.raise_for_status().content, type=Answer)
        return Needed(answer.ids, None if answer.complete else answer.ids[-1])
