"""What OpenAPI says of orders beyond the signatures of their routes; nothing here runs."""

from typing import Annotated, Any, Literal

from fastapi import Header
from pydantic import BaseModel, Field

from services.runtime import idempotency
from services.runtime.http import UNREADABLE
from services.runtime.problems import documented

Id = Annotated[str, Field(examples=["01a208ca-1c78-7e8c-8c72-40dd196ae33a"])]
Time = Annotated[str | None, Field(examples=["2026-11-23T14:23:13.452810Z"])]
Location = {"Location": {"description": "where the order is", "schema": {"type": "string"}}}

UNKNOWN = (404, "unknown-order", "there is no order 01a208ca-1c78-7e8c-8c72-40dd196ae33a")
UNASKED = (503, "temporarily-unavailable", "the orchestrator keeps the journal and cannot be asked right now")
PLACED = documented(
    *UNREADABLE,
    idempotency.MISSING,
    (409, "out-of-stock", "teapot: 1 on hand, 2 ordered"),
    (409, "insufficient-funds", "the account holds 500, the order costs 5900"),
    (409, "unknown-sku", "there is no such product: teepot"),
    (409, "request-in-progress", "the first request with this key still runs; ask again"),
    (422, "invalid-request", "items: name each product once, with its whole quantity"),
    (422, "idempotency-key-reused", "this Idempotency-Key was used for a different request"),
    (429, "too-many-requests", "the shop is at its limit; wait for Retry-After"),
)


class Receipt(BaseModel):
    order_id: Id
    status: Annotated[str, Field(examples=["PENDING"])]


class Line(BaseModel):
    sku: Annotated[str, Field(examples=["teapot"])]
    quantity: Annotated[int, Field(examples=[2])]
    price: Annotated[int, Field(description="minor units a piece, the shop's", examples=[24_90])]


class Confirmation(Receipt):
    status: Annotated[str, Field(examples=["CONFIRMED"])]
    amount: Annotated[int, Field(description="minor units", examples=[49_80])]
    currency: Annotated[str, Field(examples=["EUR"])]
    items: list[Line]


class Order(Confirmation):
    """`reason` and `detail` tell why it was refused. What is not known yet is left out.

    Under two- and three-phase commit it ended, or was cancelled, when the order service prepared that: what
    is written before the decision cannot tell its time.
    """

    customer_id: Annotated[str, Field(examples=["alice"])]
    protocol: Annotated[str, Field(examples=["saga"])]
    status: Annotated[
        Literal["PENDING", "CONFIRMED", "REFUSED", "CANCELLING", "CANCELLED"], Field(examples=["CONFIRMED"])
    ]
    reason: str | None = None
    detail: str | None = None
    created_at: Time
    ended_at: Time = None
    cancel_requested_at: Time = None
    cancelled_at: Time = None


class Page(BaseModel):
    orders: list[Order]


class Entry(BaseModel):
    at: Time
    node: Annotated[str, Field(examples=["payment-1"])]
    role: Annotated[str, Field(examples=["payment"])]
    kind: Annotated[str, Field(description="received, sent, state, timer, recovery or late")]
    what: Annotated[str, Field(examples=["order.charge done"])]
    message_id: str
    clock: Annotated[dict[str, int], Field(examples=[{"order": 2, "orchestrator": 4, "payment": 2}])]


class Journal(Receipt):
    entries: list[Entry]
    note: Annotated[str | None, Field(description="why there are no entries")] = None


def answers(status: int, model: type[BaseModel], *problems: tuple[int, str, str]) -> dict[int | str, Any]:
    """A route's `responses`: what it answers, and what may be wrong."""
    return {status: {"model": model}, **documented(*problems)}


PLACING: dict[int | str, Any] = {
    201: {"model": Confirmation, "description": "Confirmed, within `Prefer: wait`", "headers": Location},
    202: {"model": Receipt, "description": "Accepted; the outcome is not known yet", "headers": Location},
    **PLACED,
}

Key = Annotated[str, Header(alias="Idempotency-Key", examples=[idempotency.EXAMPLE])]
Prefer = Annotated[str | None, Header(examples=["wait=10"])]
Traceparent = Annotated[str | None, Header(description="W3C Trace Context; sampled: keep the journal")]
