"""Each promise about what customers were told, broken on purpose in real Postgres: the audit names the key.

Planted like the damages of the audit, beside a history of what was said before the damage.
"""

import msgspec
import pytest

from lab.audit import promises
from lab.audit.comparison import compare
from lab.audit.promises import Finding
from lab.databases import Databases
from lab.history import Line, Told, outcome_of
from tests.integration.damages import DEPOSIT, FREE_CHECKS, KEY, ORDER, REQUEST, SET_ORDER, filled

BOUND_S = 30.0

YES = {
    "order_id": str(ORDER),
    "status": "CONFIRMED",
    "amount": 600,
    "currency": "XTS",
    "items": [{"sku": "xts-lamp", "quantity": 2, "price": 300}],
}
NO = {"type": "/problems/out-of-stock", "status": 409, "order_id": str(ORDER)}
RECEIPT = {"order_id": str(ORDER), "status": "PENDING"}
BUSY = {"type": "/problems/too-busy", "status": 429}

REFUSE = (
    ("order", SET_ORDER("status = 'REFUSED', reason = 'out-of-stock'")),
    ("payment", "delete from transfers where transfer_id = '{order}'"),
    ("payment", "delete from entries where transfer_id = '{order}'"),
    ("inventory", "delete from holds where order_id = '{order}'"),
)
FORGET = (
    ("order", "delete from orders"),
    ("order", "delete from order_lines"),
    ("order", "delete from idempotency"),
    *REFUSE[1:],
)


def line(status: int | None, body: object = None, *, key: str = KEY, items: int = 2) -> Line:
    answer = b"" if body is None else msgspec.json.encode(body)
    return Line(
        asked="place",
        key=key,
        customer="ann",
        items={"xts-lamp": items},
        protocol="saga",
        due=1.0,
        sent=1.0,
        heard=None if status is None else 2.0,
        status=status,
        answer=answer.decode(),
        outcome=outcome_of("place", status, answer),
    )


CONFIRMED = (line(None), line(201, YES), line(201, YES))
REFUSED = (line(429, BUSY), line(409, NO))
ACCEPTED = (line(202, RECEIPT),)
SILENT = (line(502), line(None))
AWAY = (line(429, BUSY), line(429, BUSY))

Statements = tuple[tuple[str, str], ...]


async def found(databases: Databases, lines: tuple[Line, ...], *changes: Statements) -> list[Finding]:
    """After the changes, of which the customer has heard nothing."""
    answer = next((one.answer for one in reversed(lines) if one.status in (201, 202, 409)), "")
    status = next((one.status for one in reversed(lines) if one.status in (201, 202, 409)), 201)
    update = "update idempotency set status = $1, body = $2"
    await databases["order"].execute(update, status, answer)
    for database, statement in (change for statements in changes for change in statements):
        # The database itself would refuse much of this, as it should; the audit must not rely on that.
        await databases[database].execute(FREE_CHECKS)
        await databases[database].execute(filled(statement))
    return await compare(databases, [Told(lines)], BOUND_S, between_s=0.01)


def test_the_key_is_filed_as_the_order_service_files_it() -> None:
    assert Told(CONFIRMED).request_id == REQUEST


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("lines", "changes"),
    [
        (CONFIRMED, ()),
        (REFUSED, REFUSE),
        (ACCEPTED, ()),
        (ACCEPTED, REFUSE),
        (SILENT, ()),
        (SILENT, REFUSE),
        (SILENT, FORGET),
        (AWAY, FORGET),
    ],
    ids=lambda v: "",
)
async def test_what_was_told_and_holds_is_no_violation(
    databases: Databases, lines: tuple[Line, ...], changes: Statements
) -> None:
    assert await found(databases, lines, changes) == []


@pytest.mark.asyncio
async def test_a_confirmed_order_may_have_been_cancelled_since(databases: Databases) -> None:
    cancelled = SET_ORDER("status = 'CANCELLED', cancel_requested_at = now(), cancelled_at = now()")
    refund = "insert into transfers (transfer_id, kind, amount) values ('{order}', 'refund', 600)"
    restock = "update holds set state = 'restocked'"
    changes = (("order", cancelled), ("payment", refund), ("inventory", restock))
    assert await found(databases, CONFIRMED, changes) == []


OTHER_ORDER = """insert into orders
    (order_id, customer_id, protocol, status, amount, currency, request_id, created_at)
    values ('{deposit}', 'ann', 'saga', 'PENDING', 600, 'XTS', '{request}', now())"""
SOMEBODY_ELSES = {**YES, "order_id": str(DEPOSIT)}

BROKEN: list[tuple[str, str, tuple[Line, ...], Statements]] = [
    (promises.ACKNOWLEDGED, "with 201 about order", CONFIRMED, (("order", "delete from orders"),)),
    (promises.ACKNOWLEDGED, "with 202 about order", ACCEPTED, FORGET),
    (
        promises.ACKNOWLEDGED,
        "which is PENDING since",
        ACCEPTED,
        (("order", SET_ORDER("status = 'PENDING', ended_at = null")),),
    ),
    (promises.TOLD_YES, "and it is REFUSED", CONFIRMED, REFUSE),
    (
        promises.TOLD_YES,
        "nothing was charged",
        CONFIRMED,
        (("payment", "delete from transfers where transfer_id = '{order}'"),),
    ),
    (
        promises.TOLD_YES,
        "500 was charged",
        CONFIRMED,
        (("payment", "update transfers set amount = 500 where transfer_id = '{order}'"),),
    ),
    (promises.TOLD_YES, "nothing was taken", CONFIRMED, (("inventory", "delete from holds"),)),
    (
        promises.TOLD_YES,
        "nothing was taken",
        CONFIRMED,
        (("inventory", "update holds set state = 'released'"),),
    ),
    (promises.TOLD_YES, "is bob's", CONFIRMED, (("order", SET_ORDER("customer_id = 'bob'")),)),
    (
        promises.TOLD_YES,
        "is of xts-lamp=3",
        CONFIRMED,
        (("order", "update order_lines set quantity = 3"),),
    ),
    (promises.TOLD_NO, "is CONFIRMED", REFUSED, ()),
    (promises.TOLD_NO, "600 was charged for it", REFUSED, REFUSE[:1]),
    (promises.TOLD_NO, "its stock is shipped", REFUSED, REFUSE[:3]),
    (
        promises.TOLD_NO,
        "was refused for deadline-exceeded",
        REFUSED,
        (*REFUSE, ("order", SET_ORDER("reason = 'deadline-exceeded'"))),
    ),
    (promises.TOLD_NO, "and yet it placed order", AWAY, ()),
    (promises.TOLD_NOTHING, "has None", SILENT, (("order", "delete from order_lines"),)),
    (promises.TOLD_NOTHING, "its key is that of order", SILENT, (("order", "delete from orders"),)),
    (promises.TOLD_NOTHING, "its key is not on record", SILENT, (("order", "delete from idempotency"),)),
    (promises.TOLD_NOTHING, "is CONFIRMED, but nobody paid", SILENT, REFUSE[1:3]),
    (promises.TOLD_NOTHING, "is CONFIRMED, but its stock is untouched", SILENT, REFUSE[3:]),
    (promises.ONE_ORDER, "placed 2 orders", CONFIRMED, (("order", OTHER_ORDER),)),
    (promises.ONE_ORDER, "was told of 2 orders", (*CONFIRMED, line(201, SOMEBODY_ELSES)), ()),
    (
        promises.ONE_ORDER,
        "placed under another key",
        CONFIRMED,
        (("order", SET_ORDER("request_id = '{deposit}'")),),
    ),
    (promises.ONE_ANSWER, "was answered differently", (line(202, RECEIPT), *CONFIRMED), ()),
    (promises.ONE_ANSWER, "confirmed, and that it is refused", (*CONFIRMED, line(409, NO)), ()),
    (
        promises.ONE_ANSWER,
        "and stored is 201 another",
        CONFIRMED,
        (("order", "update idempotency set body = 'another'"),),
    ),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("check", "words", "lines", "changes"), BROKEN, ids=lambda v: str(v)[:40])
async def test_what_was_told_and_is_not_so_is_found(
    databases: Databases, check: str, words: str, lines: tuple[Line, ...], changes: Statements
) -> None:
    findings = await found(databases, lines, changes)
    assert [f for f in findings if f.check == check and words in f.words and f.subject == KEY], findings


def test_each_promise_about_a_history_is_broken_here() -> None:
    assert {check for check, *_ in BROKEN} == promises.OF_HISTORY.keys()
