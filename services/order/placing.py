"""Placing orders: everyone who arrives at the same moment shares one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from services.contract import topics
from services.contract.messages import Line, StartOrder
from services.order import model, store
from services.order.answers import Answers
from services.order.handlers import refusal
from services.order.model import Item, Listed
from services.runtime import idempotency
from services.runtime.database import Database, insist
from services.runtime.envelope import seal
from services.runtime.idempotency import Record
from services.runtime.ids import uuid7
from services.runtime.outbox import Outbox, Transaction
from services.runtime.plumbing import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Placement:
    """One request to place an order.

    `waits`: the customer wants the outcome, not a receipt. `asked`: what the inventory said of products
    that this service's copy of the catalogue did not have; None before it has been asked.
    """

    request_id: str
    fingerprint: bytes
    customer_id: str
    protocol: str
    items: tuple[Item, ...]
    waits: bool
    traceparent: str
    traced: bool
    asked: Mapping[str, Listed] | None = None


Draft = tuple[Record, store.NewOrder, Placement]
"""A key's record, the order behind it, and the request for both."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The key's record; `first` unless this key had been used before."""

    record: Record
    first: bool


@dataclass(frozen=True, slots=True)
class Unlisted:
    """Nothing was stored: the copy of the catalogue lacks these products. Ask the inventory, come again."""

    skus: tuple[str, ...]


class Placing:
    """`commit` is what the group commit runs."""

    def __init__(self, name: str, database: Database, outbox: Outbox, answers: Answers) -> None:
        self._name = name
        self._database = database
        self._outbox = outbox
        self._answers = answers

    async def commit(self, placements: Sequence[Placement]) -> list[Placed | Unlisted]:
        """Each placement's record: from the cache, from Postgres, or new, and then durable."""
        by_id = {placement.request_id: placement for placement in reversed(placements)}
        known = await self._answers.recall(list(by_id))
        new = [placement for request_id, placement in by_id.items() if request_id not in known]
        unlisted: dict[str, Unlisted] = {}
        first: set[str] = set()
        if new:
            drafts, unlisted = await self._draft_all(new)
            first = await self._store(drafts, known)
        placed: list[Placed | Unlisted] = []
        for placement in placements:
            if missing := unlisted.get(placement.request_id):
                placed.append(missing)
            else:
                placed.append(Placed(known[placement.request_id], placement.request_id in first))
                first.discard(placement.request_id)  # its twins in this batch are repetitions
        return placed

    async def _draft_all(self, placements: Sequence[Placement]) -> tuple[list[Draft], dict[str, Unlisted]]:
        skus = {item.sku for placement in placements for item in placement.items}
        async with self._database.connection() as sql:
            listed = await store.listed(sql, skus)
        drafts: list[Draft] = []
        unlisted: dict[str, Unlisted] = {}
        for placement in placements:
            catalogue = listed if placement.asked is None else {**placement.asked, **listed}
            missing = tuple(item.sku for item in placement.items if item.sku not in catalogue)
            if missing and placement.asked is None:
                unlisted[placement.request_id] = Unlisted(missing)
            else:
                drafts.append(self._draft(placement, catalogue))
        return drafts, unlisted

    async def _store(self, drafts: Sequence[Draft], known: dict[str, Record]) -> set[str]:
        """Makes durable what comes under a new key and returns those keys' ids; adds all keys to `known`."""
        records = {record.id: record for record, _, _ in drafts}
        if not records:
            return set()
        first, used = await insist(partial(self._claim_and_insert, drafts), for_s=PATIENCE_S)
        known |= used
        fresh = [records[request_id] for request_id in first]
        known |= {record.id: record for record in fresh}
        self._answers.mark_running([record for record in fresh if record.status is None])
        self._answers.finished([record for record in fresh if record.status is not None])
        return first

    async def _claim_and_insert(self, drafts: Sequence[Draft]) -> tuple[set[str], dict[str, Record]]:
        async with self._outbox.transaction(self._database) as tx:
            first = await idempotency.claim(tx.sql, [record for record, _, _ in drafts])
            self._insert(tx, [draft for draft in drafts if draft[0].id in first])
            used = {record.id for record, _, _ in drafts} - first
            return first, await idempotency.recall(tx.sql, used) if used else {}

    def _draft(self, placement: Placement, catalogue: Mapping[str, Listed]) -> Draft:
        order_id = uuid7()
        refused: tuple[str, str] | tuple[None, None]
        status: int | None
        match model.price(placement.items, catalogue):
            case model.Refused(reason, detail):
                lines = tuple(Line(item.sku, item.quantity) for item in placement.items)
                refused, amount, currency = (reason, detail), 0, ""
                status, body = 409, refusal(order_id, reason, detail)
            case model.Priced(amount, currency, prices):
                lines = tuple(
                    Line(i.sku, i.quantity, p) for i, p in zip(placement.items, prices, strict=True)
                )
                refused = (None, None)
                status, body = 202, pending(order_id)
                if placement.waits:
                    status, body = None, confirmed(order_id, amount, currency, lines)
        order = store.NewOrder(
            order_id,
            placement.customer_id,
            placement.protocol,
            amount,
            currency,
            placement.request_id,
            lines,
            *refused,
        )
        return Record(placement.request_id, placement.fingerprint, order_id, status, body), order, placement

    def _insert(self, tx: Transaction, drafts: Sequence[Draft]) -> None:
        if drafts:
            store.insert(tx, [order for _, order, _ in drafts])
        for _, order, placement in drafts:
            if order.reason is None:
                start = StartOrder(
                    order.customer_id,
                    order.amount,
                    order.currency,
                    order.lines,
                    traced=placement.traced,
                    protocol=order.protocol,
                )
                tx.put(
                    topics.SAGAS,
                    seal(
                        start,
                        id=f"{order.order_id}/order.start/1",
                        source=self._name,
                        subject=order.order_id,
                        traceparent=placement.traceparent,
                    ),
                )


def pending(order_id: str) -> str:
    """The receipt for an order whose outcome nobody waited for."""
    return msgspec.json.encode({"order_id": order_id, "status": "PENDING"}).decode()


def confirmed(order_id: str, amount: int, currency: str, lines: Sequence[Line]) -> str:
    """The answer to an order, should it be confirmed. It never changes, even if the order is cancelled."""
    return msgspec.json.encode(
        {"order_id": order_id, "status": "CONFIRMED", "amount": amount, "currency": currency, "items": lines}
    ).decode()
