"""The audit's rules about one order, each on a picture that breaks it and on one that does not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zlib import crc32

import pytest

from lab.audit import promises
from lab.audit.orders import RECORDS_KEPT, Moment, judge, moving
from lab.audit.reading import ByHand, InventoryFacts, OrderFacts, PaymentFacts, Picture, SagaFacts
from services.contract.topics import PARTITIONS

ID, REQUEST = UUID(int=7), UUID(int=8)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
BEGAN, ENDED = NOW - timedelta(seconds=100), NOW - timedelta(seconds=99)
MOMENT = Moment(NOW, timedelta(seconds=30))
SHARD = crc32(str(ID).encode()) % PARTITIONS

ORDER = OrderFacts(
    "ann", "CONFIRMED", None, 600, REQUEST, BEGAN, ENDED, None, None, "lamp=2", 600, "order.confirm=done",
    1, REQUEST, 201, True,
)  # fmt: skip
PAYMENT = PaymentFacts(600, None, "ann", None, "order.charge=done")
INVENTORY = InventoryFacts("lamp=2", "shipped", "order.hold=done,order.ship=done")
SAGAS = SagaFacts([SHARD], False, "completed", None, None, None)
CONFIRMED = Picture(ID, ORDER, PAYMENT, INVENTORY, SAGAS)

REFUSED = Picture(
    ID,
    ORDER._replace(status="REFUSED", reason="insufficient-funds", steps="order.reject=done", key_status=409),
    PaymentFacts(None, None, None, None, "order.charge=refused"),
    InventoryFacts("lamp=2", "released", "order.hold=done,order.release=done"),
    SAGAS._replace(order_outcome="compensated"),
)
CANCELLED = Picture(
    ID,
    ORDER._replace(
        status="CANCELLED",
        cancel_requested_at=ENDED + timedelta(seconds=1),
        cancelled_at=NOW,
        steps="cancel.close=done,order.confirm=done",
    ),
    PaymentFacts(600, 600, "ann", "ann", "cancel.refund=done,order.charge=done"),
    InventoryFacts("lamp=2", "restocked", "cancel.restock=done,order.hold=done,order.ship=done"),
    SAGAS._replace(cancel_running=False),
)
REFUSED_AT_ONCE = Picture(
    ID,
    ORDER._replace(
        status="REFUSED", reason="unknown-sku", amount=0, total=0, steps=None, key_status=409, ended_at=BEGAN
    ),
    None,
    None,
    None,
)
# The charge was undone before it arrived: a tombstone, and no money moved.
OVERTAKEN = REFUSED._replace(
    payment=PaymentFacts(None, None, None, None, "order.charge=refused,order.refund=done")
)
# A partition split its commit: the order service committed, the others did not; then it was cancelled.
SPLIT = Picture(
    ID,
    ORDER._replace(steps="commit.1=done"),
    None,
    None,
    SAGAS._replace(mixed=f"3pc:inventory,payment:{ID}"),
)
REPAIRED = Picture(
    ID,
    CANCELLED.order and CANCELLED.order._replace(steps="commit.1=done,commit.2=done"),
    PaymentFacts(None, None, None, None, "commit.1=done"),
    InventoryFacts(None, None, "commit.1=done"),
    SAGAS._replace(mixed=f"3pc:inventory,payment:{ID}", cancel_running=False),
)
# The same, had the coordinator heard of an abort first.
OTHERWISE = REPAIRED._replace(
    order=REPAIRED.order
    and REPAIRED.order._replace(steps="commit.1=done,commit.2=done,order.reject=refused"),
    sagas=REPAIRED.sagas and REPAIRED.sagas._replace(mixed=f"3pc:order:{ID}", order_outcome="compensated"),
)
IN_FLIGHT = Picture(
    ID,
    ORDER._replace(status="PENDING", created_at=NOW, ended_at=None, steps=None, key_status=None),
    PAYMENT,
    InventoryFacts("lamp=2", "held", "order.hold=done"),
    SAGAS._replace(order_running=True, order_outcome=None, oldest_running=NOW),
)


@pytest.mark.parametrize(
    "picture",
    [
        CONFIRMED,
        REFUSED,
        CANCELLED,
        REFUSED_AT_ONCE,
        OVERTAKEN,
        IN_FLIGHT,
        REPAIRED,
        OTHERWISE,
        Picture(ID, None, None, None, None),
    ],
)
def test_an_order_that_keeps_every_promise_is_not_accused(picture: Picture) -> None:
    assert judge(picture, MOMENT) == []


def test_only_what_may_still_change_is_looked_at_again() -> None:
    assert [moving(p) for p in (CONFIRMED, REFUSED, CANCELLED, IN_FLIGHT)] == [False, False, False, True]


def facts(part: str, **changes: Any) -> Callable[[Picture], Picture]:
    return lambda picture: picture._replace(**{part: getattr(picture, part)._replace(**changes)})


@pytest.mark.parametrize(
    ("picture", "damage", "check", "words"),
    [
        (CONFIRMED, facts("payment", refunded=600), promises.PAID, "the charge was refunded"),
        (REFUSED, facts("inventory", states="held"), promises.PAID, "is REFUSED, but its stock is held"),
        (CANCELLED, facts("payment", refunded=None), promises.PAID, "the money was kept"),
        (
            CANCELLED,
            facts("inventory", states="shipped"),
            promises.PAID,
            "CANCELLED, but its stock is shipped",
        ),
        (CANCELLED, facts("payment", refunded_to="bob"), promises.CHARGED, "refunded to bob"),
        (CANCELLED, facts("payment", refunded=601), promises.CHARGED, "charged 600 and refunded 601"),
        (CANCELLED, facts("sagas", cancel_running=None), promises.ENDS, "no saga cancelled it"),
        (REFUSED, facts("sagas", order_outcome="completed"), promises.ENDS, "ended as completed"),
        (REFUSED, facts("order", key_status=201), promises.KEYS, "answered with 201, but is REFUSED"),
        (IN_FLIGHT, facts("order", created_at=BEGAN), promises.ENDS, "PENDING since"),
        (OVERTAKEN, facts("payment", steps="order.refund=done"), promises.REPLAY, "without a tombstone"),
        (REFUSED, facts("payment", steps="order.charge=done"), promises.REPLAY, "but no charge"),
        (
            CANCELLED,
            facts("order", steps="order.confirm=done"),
            promises.REPLAY,
            "no inbox row for cancel.close",
        ),
        (CONFIRMED, facts("sagas", shards=[SHARD, 99]), promises.FENCES, "belongs to shard"),
        (
            SPLIT,
            facts("order"),
            promises.PAID,
            "diverged under three-phase commit: order committed it, inventory and payment aborted it",
        ),
        (REPAIRED, facts("payment", charged=600), promises.PAID, "the money was kept"),
        (REPAIRED, facts("inventory", states="shipped"), promises.PAID, "its stock is shipped"),
        (REPAIRED, facts("sagas", mixed=None), promises.PAID, "nobody had paid"),
    ],
)
def test_a_broken_promise_is_named(
    picture: Picture, damage: Callable[[Picture], Picture], check: str, words: str
) -> None:
    found = judge(damage(picture), MOMENT)
    assert [f for f in found if f.check == check and words in f.words and f.subject == str(ID)], found


def test_a_split_order_breaks_one_promise_and_no_other() -> None:
    assert {finding.check for finding in judge(SPLIT, MOMENT)} == {promises.PAID}


def test_who_split_an_order_by_hand_is_named_with_the_reason() -> None:
    hand = ByHand("inventory", "aborted", "nobody will come")
    sagas = SAGAS._replace(mixed=f"2pc:inventory:{ID}")
    sold = SPLIT._replace(payment=PAYMENT._replace(steps="commit.1=done"), sagas=sagas, by_hand=(hand,))
    words = "was split by hand: order and payment committed it, inventory aborted it"
    found = [finding.words for finding in judge(sold, MOMENT) if finding.check == promises.PAID]
    assert f"order {ID} {words}; at inventory an operator decided: aborted (nobody will come)" in found
    pending = sold._replace(order=IN_FLIGHT.order and IN_FLIGHT.order._replace(created_at=BEGAN))
    found = [finding.words for finding in judge(pending, MOMENT) if finding.check == promises.ENDS]
    assert any("was split by hand" in words for words in found)


def test_money_of_an_order_that_nobody_knows_is_a_violation() -> None:
    found = judge(CONFIRMED._replace(order=None, sagas=None, inventory=None), MOMENT)
    assert [f.check for f in found] == [promises.PAID]


def test_a_record_that_may_have_expired_is_not_missed() -> None:
    old = NOW - timedelta(days=2)
    picture = facts("order", created_at=old, keys=None, key_id=None, key_status=None)(CONFIRMED)
    assert judge(picture, MOMENT) == []


@pytest.mark.parametrize("whole", [CONFIRMED, REFUSED, CANCELLED])
def test_what_is_forgotten_of_an_old_order_is_not_missed_and_its_effects_are(whole: Picture) -> None:
    assert whole.order and whole.payment and whole.inventory
    bare = whole._replace(
        order=whole.order._replace(steps=None),
        payment=whole.payment._replace(steps=None),
        inventory=whole.inventory._replace(steps=None),
        sagas=None,
    )
    assert {finding.check for finding in judge(bare, MOMENT)} == {promises.ENDS, promises.REPLAY}
    later = Moment(NOW + RECORDS_KEPT, MOMENT.bound)
    assert judge(bare, later) == []
    kept = bare._replace(inventory=whole.inventory._replace(states="held", steps=None))
    assert {finding.check for finding in judge(kept, later)} == {promises.PAID}
