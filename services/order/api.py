"""The order service's HTTP routes."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal

import asyncpg
import httpx
import msgspec
import structlog
from fastapi import FastAPI, Query, Request, Response
from pydantic import FailFast, Field, ValidationError, field_validator

from services.contract import topics
from services.contract.commit import Protocol
from services.contract.messages import StartCancellation
from services.contract.retention import DAY_S, RECORDS_KEPT_S
from services.order import documented, store
from services.order.answers import Answers
from services.order.crowd import Crowd
from services.order.documented import UNASKED, UNKNOWN, answers
from services.order.model import Item, Listed
from services.order.patience import Patience
from services.order.placing import Placed, Placement, Unlisted
from services.runtime import idempotency
from services.runtime.database import Database
from services.runtime.envelope import seal
from services.runtime.group_commit import GroupCommit
from services.runtime.http import Strict, invalid, read_json
from services.runtime.idempotency import Record
from services.runtime.ids import is_uuid
from services.runtime.outbox import Outbox
from services.runtime.problems import MEDIA_TYPE, Problem

log = structlog.get_logger()

LONGEST_WAIT_S = 60

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?=$|[,;\s])", re.IGNORECASE)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-([0-9a-f]{2})(?:-[!-~]{0,100})?")

NOT_KEPT = "no journal was kept of it: ask for one with the sampled flag of traceparent"
FORGOTTEN = f"no journal is left: it is forgotten {RECORDS_KEPT_S // DAY_S} days after the order's end"

LAST_CALL_S = 0.5
"""For an outcome that is being written: many times what the transaction of a saga takes."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Sku = Annotated[str, Field(pattern=NAME, examples=["teapot"])]
CustomerId = Annotated[str, Field(pattern=NAME, examples=["alice"])]


class OrderItem(Strict):
    sku: Sku
    quantity: Annotated[int, Field(ge=1, le=1000, examples=[2])]


class OrderRequest(Strict):
    """Prices are the shop's; `protocol` is how the order is to be committed."""

    customer_id: CustomerId
    items: Annotated[list[OrderItem], FailFast(), Field(min_length=1, max_length=50)]
    protocol: Literal["saga", Protocol] = "saga"

    @field_validator("items")
    @classmethod
    def _each_product_once(cls, items: list[OrderItem]) -> list[OrderItem]:
        if len({item.sku for item in items}) < len(items):
            raise ValueError("name each product once, with its whole quantity")
        return items


def trace_of(traceparent: str | None) -> tuple[str, bool]:
    """A valid `traceparent` (W3C Trace Context) or "", and whether its sampled flag asks for the journal."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return (match[0], bool(int(match[1], 16) & 1)) if match else ("", False)


def wait_of(prefer: str | None) -> int:
    """The seconds of `Prefer: wait=N` (RFC 7240 §4.3); 0 when the preference is absent or makes no sense."""
    match = _WAIT.search(prefer or "")
    return min(int(match[1]), LONGEST_WAIT_S) if match else 0


class OrderRoutes:
    """Everything a customer can do with orders."""

    def __init__(
        self,
        name: str,
        database: Database,
        outbox: Outbox,
        answers: Answers,
        placing: GroupCommit[Placement, Placed | Unlisted],
        internal: httpx.AsyncClient,
    ) -> None:
        self._name = name
        self._database = database
        self._outbox = outbox
        self._answers = answers
        self._placing = placing
        self._internal = internal
        self.crowd = Crowd(database)
        self._patience = Patience(database, answers)

    def add_to(self, app: FastAPI) -> None:
        """Declares all routes; POST /orders is served by a HotRoute, here is its documentation."""
        add = partial(app.add_api_route, tags=["orders"])
        add("/orders", place_signature, methods=["POST"], status_code=202, responses=documented.PLACING)
        add("/orders", self.list_orders, responses=answers(200, documented.Page))
        add("/orders/{order_id}", self.read, responses=answers(200, documented.Order, UNKNOWN))
        late = (409, "not-cancellable", "only a confirmed order can be cancelled; this one is REFUSED")
        cancelling = answers(202, documented.Receipt, UNKNOWN, late)
        add(
            "/orders/{order_id}/cancel",
            self.cancel,
            methods=["POST"],
            status_code=202,
            responses=cancelling,
        )
        journal = answers(200, documented.Journal, UNKNOWN, UNASKED)
        add("/orders/{order_id}/trace", self.trace, responses=journal)

    async def place(self, request: Request) -> Response:
        """Answers POST /orders as `place_signature` promises."""
        key = idempotency.read_key(request.headers.getlist("idempotency-key"))
        try:
            order = OrderRequest.model_validate(await read_json(request))
        except ValidationError as error:
            raise invalid(error) from None
        wait_s = wait_of(request.headers.get("prefer"))
        traceparent, traced = trace_of(request.headers.get("traceparent"))
        placement = Placement(
            request_id=idempotency.key_id(key, order.customer_id, "POST", "/orders"),
            fingerprint=idempotency.fingerprint(order.model_dump_json().encode()),
            customer_id=order.customer_id,
            protocol=order.protocol,
            items=tuple(Item(item.sku, item.quantity) for item in order.items),
            waits=wait_s > 0,
            traceparent=traceparent,
            traced=traced,
        )
        self.crowd.admit()
        placed = await self._submit(placement)
        idempotency.refuse_reuse(placed.record, placement.fingerprint)
        return answer(await self._outcome(placed, wait_s), wait_s)

    async def _submit(self, placement: Placement) -> Placed:
        placed = await self._placing.submit(placement)
        if isinstance(placed, Unlisted):
            asked = await self._ask_inventory(placed.skus)
            placed = await self._placing.submit(replace(placement, asked=asked))
        assert isinstance(placed, Placed)
        return placed

    async def _outcome(self, placed: Placed, wait_s: int) -> Record:
        """The key's final record. Raises Problem 409 for a repetition while the first request still runs."""
        record = placed.record
        if record.status is not None:
            return record
        final = await self._answers.wait(record.id, wait_s) if wait_s else None
        if final is None and placed.first:
            final = await self._patience.end(record) or await self._answers.wait(record.id, LAST_CALL_S)
        if final is None:
            final = await self._answers.stored(record.id)  # the cache may be behind
        if final is None:
            detail = "the first request with this key still runs; ask again, or look at the order"
            raise Problem(
                409, "request-in-progress", detail, order_id=record.subject, headers={"Retry-After": "1"}
            )
        return final

    async def _ask_inventory(self, skus: tuple[str, ...]) -> Mapping[str, Listed]:
        """Our copy of the catalogue may be a moment behind; whether a product exists the inventory knows.

        Raises Problem 503 when it cannot be asked: then nothing is decided and nothing stored.
        """
        try:
            response = await self._internal.get("/inventory/products/lookup", params={"sku": list(skus)})
            response.raise_for_status()
            return {p["sku"]: Listed(p["price"], p["currency"]) for p in response.json()["products"]}
        except (httpx.HTTPError, KeyError, ValueError) as error:
            log.warning("inventory not asked", error=repr(error))
            detail = "a product is not in the catalogue yet, and the inventory cannot be asked right now"
            raise Problem(503, "temporarily-unavailable", detail, headers={"Retry-After": "1"}) from error

    async def list_orders(
        self,
        customer_id: CustomerId,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        before: Annotated[str | None, Query(description="an order's id: only older ones")] = None,
    ) -> Response:
        """A customer's orders, the newest first."""
        if before is not None and not is_uuid(before):
            raise Problem(422, "invalid-request", "before: must be an order's id")
        async with self._database.connection() as sql:
            rows = await sql.fetch(store.OF_CUSTOMER, customer_id, before, limit)
        return _json({"orders": [_order(row) for row in rows]})

    async def read(self, order_id: str) -> Response:
        """One order as it is now."""
        async with self._database.connection() as sql:
            return _json(_order(await self._row(sql, order_id)))

    async def cancel(self, order_id: str, request: Request) -> Response:
        """Cancel a confirmed order: the money goes back, then the goods. Repeating it is safe."""
        async with self._outbox.transaction(self._database) as tx:
            row = await self._row(tx.sql, order_id)
            if await tx.sql.fetchval(store.REQUEST_CANCEL, order_id):
                traceparent, traced = trace_of(request.headers.get("traceparent"))
                start = StartCancellation(traced=traced, protocol=row["protocol"])
                tx.put(
                    topics.SAGAS,
                    seal(
                        start,
                        id=f"{order_id}/cancel.start/1",
                        source=self._name,
                        subject=order_id,
                        traceparent=traceparent,
                    ),
                )
            row = await self._row(tx.sql, order_id)
        if row["status"] in ("PENDING", "REFUSED"):
            detail = f"only a confirmed order can be cancelled; this one is {row['status']}"
            raise Problem(409, "not-cancellable", detail, order_id=order_id)
        body = {"order_id": order_id, "status": row["status"]}
        return _json(body, 200 if row["status"] == "CANCELLED" else 202, location=f"/orders/{order_id}")

    async def trace(self, order_id: str) -> Response:
        """The order's journal in causal order: messages, state changes, timers, recoveries, vector clocks.

        `note` says why there is none.
        """
        async with self._database.connection() as sql:
            row = await self._row(sql, order_id)
        try:
            response = await self._internal.get(f"/orchestrator/journals/{order_id}")
            response.raise_for_status()
            entries = response.json()["entries"]
        except (httpx.HTTPError, KeyError, ValueError) as error:
            log.warning("orchestrator not asked", error=repr(error))
            detail = "the orchestrator keeps the journal and cannot be asked right now"
            raise Problem(503, "temporarily-unavailable", detail, headers={"Retry-After": "1"}) from error
        trace = {"order_id": order_id, "status": row["status"], "entries": entries}
        return _json(trace if entries else trace | {"note": _no_journal(row)})

    async def _row(self, sql: asyncpg.Connection, order_id: str) -> asyncpg.Record:
        row = await sql.fetchrow(store.ONE, order_id) if is_uuid(order_id) else None
        if row is None:
            raise Problem(404, "unknown-order", f"there is no order {order_id:.64}")
        return row


def answer(record: Record, wait_s: int) -> Response:
    """The HTTP response that a key's record stands for."""
    assert record.status is not None
    headers = {"Location": f"/orders/{record.subject}"}
    if wait_s:
        headers["Preference-Applied"] = f"wait={wait_s}"
    media_type = MEDIA_TYPE if record.status >= 400 else "application/json"
    return Response(record.body, record.status, headers, media_type)


def _no_journal(order: asyncpg.Record) -> str:
    since = max(at for at in (order["created_at"], order["ended_at"], order["cancelled_at"]) if at)
    is_old = datetime.now(UTC) - since > timedelta(seconds=RECORDS_KEPT_S)
    return FORGOTTEN if is_old else NOT_KEPT


def _order(row: asyncpg.Record) -> dict[str, Any]:
    order = {name: value for name, value in row.items() if value is not None}
    return {**order, "items": msgspec.json.decode(row["items"])}


def _json(value: Any, status: int = 200, location: str = "") -> Response:
    headers = {"Location": location} if location else None
    return Response(msgspec.json.encode(value), status, headers, "application/json")


async def place_signature(
    order: OrderRequest,
    key: documented.Key,
    prefer: documented.Prefer = None,
    traceparent: documented.Traceparent = None,
) -> Response:
    """Place an order.

    Answers 202 at once or, with `Prefer: wait=N`, the outcome if it comes in N seconds: 201, or 409
    with the reason. The same Idempotency-Key always gets the same answer, for 24 hours.
    """
    raise AssertionError("OrderRoutes.place answers, in front of the framework")
