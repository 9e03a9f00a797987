"""What a load asked of the shop and what it was told, as JSON lines: what the databases are held against.

A line is one request and its answer, written when the answer is there or will never be. A request that is
sent again has another line. Times are seconds since 1970, by the client's clock.

    asked     "place": POST /orders; "read": GET /orders/ID, of the order that was placed under this key
    key       the Idempotency-Key; all lines of a key ask for the same
    customer, items, protocol
              what was asked for: items is {sku: quantity}
    due       when the order should have been sent, whatever the shop did
    sent      when this request was
    heard     when its answer was there; null: it never was
    status    of the answer; null: there was none
    answer    the body of the answer, as text
    outcome   ok: the order is confirmed; refused: a definite no, it has no effect and never will have;
              unknown: anything else (no answer, a 5xx, a 202 or 409 that says that it still runs)

An order's id is only what the shop has said. Of a request without one, the key is all that is known.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec

from lab.client import Answer
from lab.state import Trouble
from lab.workload import Orders

Outcome = Literal["ok", "refused", "unknown"]
Asked = Literal["place", "read"]

IN_PROGRESS = "/problems/request-in-progress"
OUTCOMES: dict[str, Outcome] = {
    "CONFIRMED": "ok",
    "CANCELLING": "ok",
    "CANCELLED": "ok",
    "REFUSED": "refused",
}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    asked: Asked
    key: str
    customer: str
    items: dict[str, int]
    protocol: str
    due: float
    sent: float
    heard: float | None
    status: int | None
    answer: str
    outcome: Outcome

    @property
    def body(self) -> dict[str, Any]:
        """Empty unless the answer is an object of JSON."""
        try:
            found = msgspec.json.decode(self.answer)
        except msgspec.DecodeError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def order_id(self) -> UUID | None:
        try:
            return UUID(str(self.body.get("order_id")))
        except ValueError:
            return None


def outcome_of(asked: Asked, status: int | None, answer: bytes) -> Outcome:
    """What the answer settles. A 429, or another 4xx, is a no: the shop has not begun with it."""
    if status is None or status >= 500:
        return "unknown"
    if asked == "read":
        return OUTCOMES.get(_text(answer, "status"), "unknown")
    if status == 201:
        return "ok"
    return "refused" if status >= 400 and _text(answer, "type") != IN_PROGRESS else "unknown"


def _text(answer: bytes, field: str) -> str:
    try:
        found = msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return str(found.get(field, "")) if isinstance(found, dict) else ""


class Told:
    """All that was said about one key."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        first = lines[0]
        self.key, self.customer, self.items = first.key, first.customer, first.items

    @cached_property
    def outcome(self) -> Outcome:
        """A no that names an order is the order's; one that names none is only about that one request."""
        outcomes = {line.outcome for line in self.lines}
        if "ok" in outcomes:
            return "ok"
        final = any(line.outcome == "refused" and line.order_id for line in self.lines)
        return "refused" if final or outcomes == {"refused"} else "unknown"

    @cached_property
    def acknowledged(self) -> dict[UUID, Line]:
        """The orders that answers have named, and the first of these answers."""
        found: dict[UUID, Line] = {}
        for line in self.lines:
            if id := line.order_id:
                found.setdefault(id, line)
        return found

    @cached_property
    def request_id(self) -> UUID:
        """How the order service files the key: by a hash of it in its scope."""
        scope = (self.customer, "POST", "/orders", self.key)
        return UUID(bytes=hashlib.sha256("\x00".join(scope).encode()).digest()[:16])


def told(lines: Iterable[Line]) -> list[Told]:
    """One for each key, in the order of their first lines."""
    by_key: dict[str, list[Line]] = {}
    for line in lines:
        by_key.setdefault(line.key, []).append(line)
    return [Told(found) for found in by_key.values()]


class Recorder:
    """Makes lines of what a load does with these orders, and puts each where `put` says."""

    def __init__(self, orders: Orders, put: Callable[[Line], None]) -> None:
        self._orders, self._put = orders, put
        self._epoch = time.time() - time.perf_counter()

    def placed(self, job: int, due: float, sent: float, answer: Answer | None) -> None:
        """Times are of `time.perf_counter`."""
        self._line("place", job, due, sent, answer.status if answer else None, answer.body if answer else b"")

    def read(self, job: int, sent: float, status: int | None, body: bytes) -> None:
        self._line("read", job, sent, sent, status, body)

    def _line(self, asked: Asked, job: int, due: float, sent: float, status: int | None, body: bytes) -> None:
        order = self._orders.asked(job)
        line = Line(
            asked=asked,
            key=order.key,
            customer=order.customer,
            items=order.items,
            protocol=order.protocol,
            due=round(self._epoch + due, 6),
            sent=round(self._epoch + sent, 6),
            heard=None if status is None else round(self._epoch + time.perf_counter(), 6),
            status=status,
            answer=body.decode(errors="replace"),
            outcome=outcome_of(asked, status, body),
        )
        self._put(line)


@contextmanager
def writing(path: Path) -> Iterator[Callable[[Line], None]]:
    """A new file; what was written before a crash of ours is there."""
    encoder = msgspec.json.Encoder()
    try:
        file = path.open("wb")
    except OSError as error:
        raise Trouble(f"{path} cannot be written: {error.strerror}") from None
    with file:
        yield lambda line: file.writelines((encoder.encode(line), b"\n"))


def load(path: Path) -> list[Told]:
    """Raises Trouble for what is not a history."""
    decoder = msgspec.json.Decoder(Line)
    lines: list[Line] = []
    try:
        with path.open("rb") as file:
            lines.extend(map(decoder.decode, file))
    except OSError as error:
        raise Trouble(f"{path} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise Trouble(f"line {len(lines) + 1} of {path} is no line of a history: {error}") from None
    if not lines:
        raise Trouble(f"{path} is empty: there is nothing to compare with")
    return told(lines)
