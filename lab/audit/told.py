"""What is wrong with one key, told from what its customer heard and from what the databases hold. Pure.

The orders are looked at after the customer was answered, and what he was told has to hold at any time after
that: he hears of a confirmation when money and stock are taken, and of a refusal when both are back.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

from lab.audit import promises
from lab.audit.orders import KEYS_LIVE, ONCE_CONFIRMED, Moment, paid_gone_confirmed
from lab.audit.promises import Finding, time_of
from lab.audit.reading import Picture
from lab.history import Line, Told

Words = Iterator[str]


class KeyRecord(NamedTuple):
    """The order service's row of a key. `status` None: nobody may be answered yet."""

    subject: UUID | None
    status: int | None
    body: str | None


class Found(NamedTuple):
    """`placed`: the orders under this key. `orders`: those and all that its answers have named."""

    placed: tuple[UUID, ...]
    orders: Mapping[UUID, Picture]
    record: KeyRecord | None

    def of(self, id: UUID | None) -> Picture | None:
        """The picture of an order that exists."""
        picture = self.orders.get(id) if id else None
        return picture if picture and picture.status else None


def acknowledged(t: Told, f: Found, m: Moment) -> Words:
    for id, line in t.acknowledged.items():
        found = f.of(id)
        if not found or not found.order:
            yield f"was answered with {line.status} about order {id}, which does not exist"
        elif found.status == "PENDING" and m.overdue(found.order.created_at):
            since = time_of(found.order.created_at)
            yield f"was answered with {line.status} about order {id}, which is PENDING since {since}"


def told_yes(t: Told, f: Found, _: Moment) -> Words:
    for line in t.lines:
        found = f.of(line.order_id)
        if line.outcome != "ok" or not found or not found.order:
            continue
        if found.status not in ONCE_CONFIRMED:
            yield f"was told that order {line.order_id} is confirmed, and it is {found.status}"
        yield from _as_asked(t, line, found)


def _as_asked(t: Told, line: Line, p: Picture) -> Words:
    assert p.order
    asked, amount = _lines(t), line.body.get("amount", p.order.amount)
    taken = p.inventory.lines if p.inventory and p.inventory.states != "released" else None
    charged = p.payment.charged if p.payment else None
    if p.order.customer_id != t.customer:
        yield f"was {t.customer}'s, and order {p.order_id} is {p.order.customer_id}'s"
    if p.order.lines != asked:
        yield f"asked for {asked}, and order {p.order_id} is of {p.order.lines}"
    if taken != asked:
        yield f"was told that {asked} is confirmed, and {taken or 'nothing'} was taken from the stock"
    if charged != amount:
        yield f"was told that it costs {amount}, and {charged or 'nothing'} was charged"


def told_no(t: Told, f: Found, _: Moment) -> Words:
    for line in t.lines:
        found = f.of(line.order_id)
        if line.outcome == "refused" and found and found.order:
            yield from _without_effect(line, found)
    if t.outcome == "refused" and not t.acknowledged and f.placed:
        statuses = " and ".join(sorted({str(line.status) for line in t.lines}))
        yield f"was turned away each time, with {statuses}, and yet it placed order {f.placed[0]}"


def _without_effect(line: Line, p: Picture) -> Words:
    assert p.order
    reason = line.body.get("reason") or str(line.body.get("type", "")).rpartition("/")[2]
    charged, refunded = (p.payment.charged, p.payment.refunded) if p.payment else (None, None)
    states = p.inventory.states if p.inventory else None
    if p.status != "REFUSED":
        yield f"was told {reason}, and its order {p.order_id} is {p.status}"
    elif p.order.reason != reason:
        yield f"was told {reason}, and its order {p.order_id} was refused for {p.order.reason}"
    if charged and charged != refunded:
        yield f"was told {reason}, and {charged} was charged for it, of which {refunded or 0} came back"
    if states not in (None, "released"):
        yield f"was told {reason}, and its stock is {states}"


def told_nothing(t: Told, f: Found, m: Moment) -> Words:
    if t.outcome != "unknown":
        return
    if f.record and not f.placed:
        yield f"was never told what became of it: its key is that of order {f.record.subject}, not there"
    for id in f.placed:
        found = f.of(id)
        if not found or not found.order:
            continue
        if not f.record and m.now - found.order.created_at < KEYS_LIVE:
            yield f"was never told what became of it: it placed order {id}, and its key is not on record"
        if found.order.lines != _lines(t):
            yield f"was never told what became of it: of {_lines(t)}, order {id} has {found.order.lines}"
        for words in paid_gone_confirmed(found, m):
            yield f"was never told what became of it: order {id} {words}"


def one_order(t: Told, f: Found, _: Moment) -> Words:
    if len(f.placed) > 1:
        yield f"placed {len(f.placed)} orders: {', '.join(map(str, f.placed))}"
    if len(t.acknowledged) > 1:
        yield f"was told of {len(t.acknowledged)} orders: {', '.join(map(str, t.acknowledged))}"
    for id in t.acknowledged:
        if f.of(id) and id not in f.placed:
            yield f"was told of order {id}, which was placed under another key"


def one_answer(t: Told, f: Found, _: Moment) -> Words:
    final = {(line.status, line.answer): line for line in t.lines if _is_final(line)}
    if len(final) > 1:
        yield f"was answered differently: {' and '.join(f'{status} {answer}' for status, answer in final)}"
    heard = {line.outcome for line in t.lines if line.order_id} - {"unknown"}
    if len(heard) > 1:
        yield "was told that it is confirmed, and that it is refused"
    for status, answer in final:
        if f.record and f.record.status is not None and (status, answer) != (f.record.status, f.record.body):
            yield f"was answered {status} {answer}, and stored is {f.record.status} {f.record.body}"


def _is_final(line: Line) -> bool:
    """From then on the key has this answer: an outcome or, when the patience ended first, a receipt."""
    settled = line.status in (201, 202) or line.outcome == "refused"
    return line.asked == "place" and settled and line.order_id is not None


def _lines(t: Told) -> str:
    """As a picture has them."""
    return ",".join(f"{sku}={quantity}" for sku, quantity in sorted(t.items.items()))


RULES: tuple[tuple[str, Callable[[Told, Found, Moment], Words]], ...] = (
    (promises.ACKNOWLEDGED, acknowledged),
    (promises.TOLD_YES, told_yes),
    (promises.TOLD_NO, told_no),
    (promises.TOLD_NOTHING, told_nothing),
    (promises.ONE_ORDER, one_order),
    (promises.ONE_ANSWER, one_answer),
)


def judge(told: Told, found: Found, moment: Moment) -> list[Finding]:
    """Every rule that is broken for this key; the same words once."""
    return [
        Finding(name, told.key, f"request {told.key} {words}")
        for name, rule in RULES
        for words in dict.fromkeys(rule(told, found, moment))
    ]
