"""The orchestrator's HTTP routes: journals for the other services, transactions for operators."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import FastAPI, Query, Request, Response
from pydantic import ConfigDict, Field

from orchestrator import store, transactions
from orchestrator.coordinator import CORES
from orchestrator.core import commit_journal
from orchestrator.core.clocks import Entry
from orchestrator.core.journal import unfold
from orchestrator.core.sagas import DEFINITIONS
from orchestrator.doubts import Doubts
from orchestrator.driver import Driver
from services.contract.commit import Participant
from services.runtime.database import Database
from services.runtime.http import FOR_OPERATORS, OPERATOR, Strict, require_operator
from services.runtime.ids import is_uuid
from services.runtime.problems import Problem, documented

UNKNOWN = "no transaction of such an order is known"
OUTCOMES: dict[str, Literal["committed", "aborted"]] = {"commit": "committed", "abort": "aborted"}


class Decision(Strict):
    """`participants`: all that hold it, if they are left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"outcome": "abort", "participants": ["inventory"], "reason": "no coordinator is left"}
            ]
        }
    )
    outcome: Literal["commit", "abort"]
    participants: Annotated[list[Participant], Field(min_length=1)] | None = None
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class TransactionRoutes:
    """Not for the public: /transactions wants the operator's token, /journals is for the order service."""

    def __init__(self, database: Database, driver: Driver, doubts: Doubts, operator_token: str) -> None:
        self._database = database
        self._driver = driver
        self._doubts = doubts
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
        nobody = (404, "unknown-transaction", "no transaction of this id is known, or in doubt")
        decided = (409, "decided-otherwise", "it is decided: committed")
        refusals = documented(FOR_OPERATORS, nobody, decided)
        app.post("/transactions/{transaction_id}/resolve", responses=refusals, **only)(self.resolve)

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
        state: Literal["running", "ended", "in-doubt"] = "running",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """Transactions by state, the youngest first; those in doubt the oldest first, with what each
        participant has locked, and whom that blocks. `silent` are participants that did not answer."""
        require_operator(request, self._token)
        if state == "in-doubt":
            return _json(await self._doubts.listed(limit))
        async with self._database.connection() as sql:
            rows = await sql.fetch(store.BY_STATE, state == "running", limit)
            rows += await sql.fetch(transactions.BY_STATE, state == "running", limit)
        return _json({"transactions": [_transaction(row) for row in rows]})

    async def read(self, order_id: str, request: Request) -> Response:
        """The transactions of one order; or one transaction, by its own id."""
        require_operator(request, self._token)
        async with self._database.connection() as sql:
            rows = await sql.fetch(store.BY_ORDER, _checked(order_id))
            rows += await sql.fetch(transactions.BY_ORDER, order_id)
        if not rows:
            raise _unknown()
        return _json({"transactions": [_transaction(row) for row in rows]})

    async def retry(self, order_id: str, request: Request) -> Response:
        """Ask at once what is unanswered, instead of waiting for the timer; by an order's id or
        a transaction's."""
        require_operator(request, self._token)
        kinds = await self._driver.retry_now(_checked(order_id))
        async with self._database.connection() as sql:
            kinds += await transactions.nudge(sql, order_id)
        if not kinds:
            raise Problem(409, "not-running", "this order has no transaction that runs", order_id=order_id)
        return _json({"order_id": order_id, "asked_again": kinds}, 202)

    async def resolve(self, transaction_id: str, decision: Decision, request: Request) -> Response:
        """Decide in the coordinator's place, at participants that are in doubt. Their locks are free at once;
        if the coordinator decides otherwise, the order is split, and the audit says who did that."""
        require_operator(request, self._token)
        if not is_uuid(transaction_id):
            raise Problem(404, "unknown-transaction", "no transaction of this id is known, or in doubt")
        outcome, reason = OUTCOMES[decision.outcome], decision.reason
        return _json(await self._doubts.resolve(transaction_id, outcome, decision.participants, reason))


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
