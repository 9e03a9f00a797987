"""The orchestrator's HTTP routes: journals for the other services, transactions for operators."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import FastAPI, Query, Request, Response

from orchestrator import store, transactions
from orchestrator.coordinator import CORES
from orchestrator.core import commit_journal
from orchestrator.core.clocks import Entry
from orchestrator.core.journal import unfold
from orchestrator.core.sagas import DEFINITIONS
from orchestrator.driver import Driver
from services.runtime.database import Database
from services.runtime.http import FOR_OPERATORS, OPERATOR, require_operator
from services.runtime.ids import is_uuid
from services.runtime.problems import Problem, documented

UNKNOWN = "no transaction of such an order is known"


class TransactionRoutes:
    """Not for the public: /transactions wants the operator's token, /journals is for the order service."""

    def __init__(self, database: Database, driver: Driver, operator_token: str) -> None:
        self._database = database
        self._driver = driver
        self._token = operator_token

    def add_to(self, app: FastAPI) -> None:
        tags: list[Any] = ["transactions"]
        app.get("/journals/{order_id}", tags=tags)(self.journal)
        only: dict[str, Any] = {"tags": tags, "dependencies": [OPERATOR]}
        unknown = (404, "unknown-order", UNKNOWN)
        ended = (409, "not-running", "this order has no transaction that runs")
        app.get("/transactions", responses=documented(FOR_OPERATORS), **only)(self.page)
        app.get("/transactions/{order_id}", responses=documented(FOR_OPERATORS, unknown), **only)(self.read)
        refusals = documented(FOR_OPERATORS, unknown, ended)
        app.post("/transactions/{order_id}/retry", responses=refusals, status_code=202, **only)(self.retry)

    async def journal(self, order_id: str) -> Response:
        """All that happened to an order, in causal order; empty when its log was not kept."""
        async with self._database.connection() as sql:
            logs = await sql.fetch(store.LOGS, _checked(order_id))
            others = await sql.fetch(transactions.LOGS, order_id)
        entries: tuple[Entry, ...] = ()
        for kind, text in logs:
            if text:
                entries += unfold(DEFINITIONS[kind], order_id, store.read_log(text), entries)
        for transaction_id, protocol, text in others:
            seen = transactions.read_log(text)
            entries += commit_journal.unfold(CORES[protocol], transaction_id, seen, entries)
        return _json({"order_id": order_id, "entries": [_entry(entry) for entry in entries]})

    async def page(
        self,
        request: Request,
        state: Literal["running", "ended"] = "running",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """Transactions by state, the youngest first."""
        require_operator(request, self._token)
        async with self._database.connection() as sql:
            rows = await sql.fetch(store.BY_STATE, state == "running", limit)
            rows += await sql.fetch(transactions.BY_STATE, state == "running", limit)
        return _json({"transactions": [_transaction(row) for row in rows]})

    async def read(self, order_id: str, request: Request) -> Response:
        """The transactions of one order."""
        require_operator(request, self._token)
        async with self._database.connection() as sql:
            rows = await sql.fetch(store.BY_ORDER, _checked(order_id))
            rows += await sql.fetch(transactions.BY_ORDER, order_id)
        if not rows:
            raise _unknown()
        return _json({"transactions": [_transaction(row) for row in rows]})

    async def retry(self, order_id: str, request: Request) -> Response:
        """Ask at once what is unanswered, instead of waiting for the timer."""
        require_operator(request, self._token)
        kinds = await self._driver.retry_now(_checked(order_id))
        async with self._database.connection() as sql:
            kinds += await transactions.nudge(sql, order_id)
        if not kinds:
            raise Problem(409, "not-running", "this order has no transaction that runs", order_id=order_id)
        return _json({"order_id": order_id, "asked_again": kinds}, 202)


def _checked(order_id: str) -> str:
    if not is_uuid(order_id):
        raise _unknown()
    return order_id


def _unknown() -> Problem:
    return Problem(404, "unknown-order", UNKNOWN)


def _entry(entry: Entry) -> dict[str, Any]:
    return {**asdict(entry), "at": datetime.fromtimestamp(entry.at, UTC)}


def _transaction(row: Any) -> dict[str, Any]:
    return {**row, "state": msgspec.Raw(row["state"].encode())}


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
