"""What is wrong with one order, told from its picture. Pure: every rule can be read, and tested, alone.

Within one database a picture is exact at any moment. Between databases it is only fair when the order
is at rest: no saga of it is running.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple
from zlib import crc32

from lab.audit import promises
from lab.audit.promises import Finding, time_of
from lab.audit.reading import OrderFacts, Picture
from services.contract.retention import RECORDS_KEPT_S
from services.contract.topics import PARTITIONS

KEYS_LIVE = timedelta(hours=23)  # a record may be forgotten after 24
RECORDS_KEPT = timedelta(seconds=RECORDS_KEPT_S) - timedelta(hours=1)  # what is on record of an order's steps
REFUSED_AT_ONCE = frozenset({"unknown-sku", "currency-mismatch", "amount-too-large"})  # never reached a saga
ONCE_CONFIRMED = frozenset({"CONFIRMED", "CANCELLING", "CANCELLED"})
BOUGHT, UNBOUGHT = "commit.1", "commit.2"
SPLIT = {"3pc": "diverged under three-phase commit"}
AT_REST = frozenset({"CONFIRMED", "REFUSED", "CANCELLED"})


class Moment(NamedTuple):
    """When the look began, by the order database's clock, and how long anything may take."""

    now: datetime
    bound: timedelta

    def overdue(self, since: datetime) -> bool:
        return self.now - since > self.bound

    def on_record(self, order: OrderFacts | None) -> bool:
        """Nothing of it can have been forgotten: inbox, commits, sagas and transactions."""
        return not order or not order.status or self._is_recent(order.ended_at or order.created_at)

    def cancel_on_record(self, order: OrderFacts) -> bool:
        return self._is_recent(order.cancelled_at or order.created_at)

    def _is_recent(self, at: datetime) -> bool:
        return self.now - at < RECORDS_KEPT


Words = Iterator[str]


@cache  # a million orders have a handful of different inboxes
def steps(facts: str | None) -> Mapping[str, str]:
    """The inbox of one participant: outcome by step."""
    return dict(pair.split("=", 1) for pair in facts.split(",")) if facts else {}


def own_steps(p: Picture, participant: str, facts: str | None) -> Mapping[str, str]:
    """The same of an order's picture. Where a split commit did not buy, the first commit has cancelled."""
    known = steps(facts)
    if p.bought(participant):
        return known
    return {UNBOUGHT if step == BOUGHT else step: outcome for step, outcome in known.items()}


def paid_gone_confirmed(p: Picture, _: Moment) -> Words:
    found = list(_paid_gone_confirmed(p))
    if found:
        yield from _split(p)
    yield from found


def _split(p: Picture) -> Words:
    if not p.split:
        return
    how = "was split by hand" if p.by_hand else SPLIT.get(p.split.protocol, "was split")
    committed, aborted = (" and ".join(side) or "nobody" for side in (p.split.committed, p.split.aborted))
    hands = "".join(
        f"; at {hand.participant} an operator decided: {hand.outcome} ({hand.reason})" for hand in p.by_hand
    )
    yield f"{how}: {committed} committed it, {aborted} aborted it{hands}"


def _paid_gone_confirmed(p: Picture) -> Words:
    if p.running or (p.order and p.status not in AT_REST and p.status is not None):
        return
    charged, refunded = (p.payment.charged, p.payment.refunded) if p.payment else (None, None)
    states, held = (p.inventory.states, p.inventory.lines) if p.inventory else (None, None)
    kept = charged is not None and refunded is None
    told = p.status or "unknown to the order service"
    match p.status:
        case "CONFIRMED":
            if not kept:
                yield f"is CONFIRMED, but {'nobody paid' if charged is None else 'the charge was refunded'}"
            if states != "shipped":
                yield f"is CONFIRMED, but its stock is {states or 'untouched'}"
        case "CANCELLED":
            if kept or (charged is None and p.bought("payment")):
                yield f"is CANCELLED, but {'the money was kept' if kept else 'nobody had paid'}"
            if states != "restocked" and (states or p.bought("inventory")):
                yield f"is CANCELLED, but its stock is {states or 'untouched'}"
        case _:
            if kept:
                yield f"is {told}, but {charged} was charged and never refunded"
            if states not in (None, "released"):
                yield f"is {told}, but its stock is {states}"
    if p.order and p.status and held is not None and held != p.order.lines:
        yield f"was ordered as {p.order.lines}, but the stock put aside was {held}"


def charged_once(p: Picture, _: Moment) -> Words:
    if not p.payment:
        return
    charged, refunded, payer, payee, _steps = p.payment
    if p.order and p.status:
        if charged is not None and charged != p.order.amount:
            yield f"costs {p.order.amount}, but {charged} was charged"
        if payer is not None and payer != p.order.customer_id:
            yield f"is {p.order.customer_id}'s, but {payer} was charged"
    if refunded is not None and refunded > (charged or 0):
        yield f"was charged {charged or 0} and refunded {refunded}"
    if payee is not None and payee != payer:
        yield f"was paid by {payer} and refunded to {payee}"


def every_order_ends(p: Picture, m: Moment) -> Words:
    if p.sagas and p.sagas.oldest_running and m.overdue(p.sagas.oldest_running):
        yield f"has a saga that runs since {time_of(p.sagas.oldest_running)}"
    if not p.order or not p.status:
        if p.sagas:
            yield "has a saga, but the order service does not know it"
        return
    order = p.order
    if p.status == "PENDING" and m.overdue(order.created_at):
        yield from _split(p)
        yield f"is PENDING since {time_of(order.created_at)}"
    if p.status == "CANCELLING" and order.cancel_requested_at and m.overdue(order.cancel_requested_at):
        yield f"is CANCELLING since {time_of(order.cancel_requested_at)}"
    yield from _times(order)
    if order.lines is None:
        yield "has no lines"
    elif order.total != order.amount:
        yield f"costs {order.amount}, but its lines add up to {order.total}"
    yield from _sagas(p, p.status, order, m)


def _times(order: OrderFacts) -> Words:
    """Only legal edges: PENDING, then CONFIRMED or REFUSED, and CANCELLING, CANCELLED after CONFIRMED."""
    ended, asked, closed = order.ended_at, order.cancel_requested_at, order.cancelled_at
    if (order.status == "PENDING") != (ended is None):
        yield f"is {order.status}, with ended_at {ended}"
    if (order.status == "REFUSED") != (order.reason is not None):
        yield f"is {order.status}, with the reason {order.reason!r}"
    if (order.status in ("CANCELLING", "CANCELLED")) != (asked is not None):
        yield f"is {order.status}, with cancel_requested_at {asked}"
    if (order.status == "CANCELLED") != (closed is not None):
        yield f"is {order.status}, with cancelled_at {closed}"
    known = [at for at in (order.created_at, ended, asked, closed) if at is not None]
    if known != sorted(known):
        yield f"has its times in the wrong order: {', '.join(map(str, known))}"


def _sagas(p: Picture, status: str, order: OrderFacts, m: Moment) -> Words:
    sagas = p.sagas
    ran, cancel = (sagas.order_running, sagas.cancel_running) if sagas else (None, None)
    outcome = sagas.order_outcome if sagas else None
    if status == "REFUSED" and ran is None and order.reason in REFUSED_AT_ONCE:
        return
    if status != "PENDING" and ran is None and m.on_record(order):
        yield f"is {status}, but no saga ran for it"
    wanted = {"PENDING": None, "REFUSED": "compensated"}.get(status, "completed")
    if ran is False and outcome != wanted and not p.split:  # which ended as both
        yield f"is {status}, but its saga has ended as {outcome}"
    if cancel is not None and status in ("PENDING", "CONFIRMED", "REFUSED"):
        yield f"is {status}, but a saga has been cancelling it"
    if status == "CANCELLED" and cancel is None and m.cancel_on_record(order):
        yield "is CANCELLED, but no saga cancelled it"
    if status == "CANCELLING" and cancel is False:
        yield "is CANCELLING, but the saga that cancels it has ended"


def one_key_one_order(p: Picture, m: Moment) -> Words:
    order = p.order
    if not order:
        return
    if not p.status:
        if order.keys:
            yield f"was promised to whoever sent the key of record {order.key_id}, but does not exist"
        return
    if not order.keys:
        if m.now - order.created_at < KEYS_LIVE:
            yield "has no idempotency record"
        return
    if order.keys > 1:
        yield f"has {order.keys} idempotency records"
    elif order.key_id != order.request_id:
        yield f"came with request {order.request_id}, but its idempotency record is {order.key_id}"
    if order.key_status == 201 and p.status not in ONCE_CONFIRMED:
        yield f"was answered with 201, but is {p.status}"
    elif order.key_status not in (None, 201, 202) and p.status != "REFUSED":
        yield f"was answered with {order.key_status}, but is {p.status}"
    if order.key_names_order is False:
        yield "has a stored answer that does not name it"


def replay_changes_nothing(p: Picture, m: Moment) -> Words:
    """An effect without its record would be repeated; a record without its effect stands for nothing.

    The record is a row in the inbox or, for what was committed in two or three phases, the commit's own.
    Of an old order it may be forgotten, in part: no message of it can come any more.
    """
    if not m.on_record(p.order):
        return
    if p.inventory:
        yield from _stock_steps(own_steps(p, "inventory", p.inventory.steps), p.inventory.states)
    if p.payment:
        did = own_steps(p, "payment", p.payment.steps)
        paid = _did(did, "order.charge", BOUGHT)
        gave_back = paid and _did(did, "order.refund", "cancel.refund", UNBOUGHT)
        yield from _agree("order.charge", paid, "charge", p.payment.charged is not None)
        yield from _agree(
            "order.refund or cancel.refund", gave_back, "refund", p.payment.refunded is not None
        )
        if (did.get("order.refund") == "done") and "order.charge" not in did:
            yield "had its charge undone without a tombstone: a late charge would still be made"
    if p.order:
        did = own_steps(p, "order", p.order.steps)
        refused = p.status == "REFUSED" and (p.order.reason not in REFUSED_AT_ONCE or bool(p.sagas))
        yield from _agree(
            "order.confirm", _did(did, "order.confirm", BOUGHT), "CONFIRMED", p.status in ONCE_CONFIRMED
        )
        yield from _agree("order.reject", did.get("order.reject") == "done", "REFUSED", refused)
        yield from _agree(
            "cancel.close", _did(did, "cancel.close", UNBOUGHT), "CANCELLED", p.status == "CANCELLED"
        )


def _stock_steps(did: Mapping[str, str], states: str | None) -> Words:
    expected = None
    if did.get("order.hold") == "done":
        moves = (("cancel.restock", "restocked"), ("order.ship", "shipped"), ("order.release", "released"))
        expected = next((state for step, state in moves if did.get(step) == "done"), "held")
    if _did(did, BOUGHT):
        expected = "restocked" if _did(did, UNBOUGHT) else "shipped"
    if expected != states:
        yield f"has stock {states or 'untouched'}, but the inventory's inbox says {expected or 'untouched'}"
    if did.get("order.release") == "done" and "order.hold" not in did:
        yield "had its hold undone without a tombstone: a late hold would still be made"


def _did(steps: Mapping[str, str], *any_of: str) -> bool:
    return any(steps.get(step) == "done" for step in any_of)


def _agree(step: str, answered: bool, effect: str, there: bool) -> Words:
    if answered and not there:
        yield f"has an inbox row for {step}, but no {effect}"
    if there and not answered:
        yield f"has a {effect}, but no inbox row for {step}: a repeated message would do it again"


def fences_hold(p: Picture, _: Moment) -> Words:
    shard = crc32(str(p.order_id).encode()) % PARTITIONS
    if p.sagas and p.sagas.shards != [shard]:
        yield f"belongs to shard {shard}, but its saga was written by the owner of {p.sagas.shards}"


RULES: tuple[tuple[str, Callable[[Picture, Moment], Words]], ...] = (
    (promises.PAID, paid_gone_confirmed),
    (promises.CHARGED, charged_once),
    (promises.ENDS, every_order_ends),
    (promises.KEYS, one_key_one_order),
    (promises.REPLAY, replay_changes_nothing),
    (promises.FENCES, fences_hold),
)


def judge(picture: Picture, moment: Moment) -> list[Finding]:
    """Every rule that this order breaks, as far as this one look can tell."""
    return [
        Finding(name, str(picture.order_id), f"order {picture.order_id} {words}")
        for name, rule in RULES
        for words in rule(picture, moment)
    ]


def moving(picture: Picture) -> bool:
    """Not at rest yet: worth another look when it is."""
    return picture.running or picture.status not in AT_REST
