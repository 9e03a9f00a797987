"""The wire format. These texts lie in Kafka while a new version starts: add to them, never change them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct, json, structs

from services.contract.messages import HoldStock, Line, ProductChanged
from services.runtime.envelope import (
    LARGEST_HEAD,
    Envelope,
    Malformed,
    decode,
    encode,
    mark_resent,
    open_as,
    seal,
    shard_of,
)
from services.runtime.inbox import Answer

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ORDER_ID = "0199a2b4-7c1e-7d3f-8a5b-1c2d3e4f5a6b"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

COMMAND = (
    f'{{"specversion":"1.0","id":"{ORDER_ID}/order.hold/1","source":"/orchestrator-1","type":"HoldStock",'
    f'"subject":"{ORDER_ID}","time":"2026-01-02T03:04:05.678901Z",'
    '"data":{"lines":[{"sku":"sku-000001","quantity":2,"price":1999}]},'
    f'"traceparent":"{TRACE}","step":"order.hold","refusable":true}}'
)
ANSWER = (
    f'{{"specversion":"1.0","id":"{ORDER_ID}/order.hold/1/answer","source":"/inventory-2","type":"Answer",'
    f'"subject":"{ORDER_ID}","time":"2026-01-02T03:04:05.678901Z",'
    '"data":{"outcome":"refused","reason":"out-of-stock","detail":"sku-000001: 1 on hand, 2 ordered"},'
    f'"causationid":"{ORDER_ID}/order.hold/1","traceparent":"{TRACE}","step":"order.hold"}}'
)
EVENT = (
    '{"specversion":"1.0","id":"sku-000001/product-changed/7","source":"/inventory-1","type":"ProductChanged",'
    '"subject":"sku-000001","time":"2026-01-02T03:04:05.678901Z",'
    '"data":{"sku":"sku-000001","name":"Clock \u2014 \u00e9tag\u00e8re","price":1999,'
    '"currency":"EUR","version":7}}'
)

HOLD = HoldStock((Line("sku-000001", 2, 1999),))
REFUSED = Answer("refused", "out-of-stock", "sku-000001: 1 on hand, 2 ordered")
CHANGED = ProductChanged("sku-000001", "Clock \u2014 \u00e9tag\u00e8re", 1999, "EUR", 7)

ASKED = seal(
    HOLD,
    id=f"{ORDER_ID}/order.hold/1",
    source="orchestrator-1",
    subject=ORDER_ID,
    traceparent=TRACE,
    step="order.hold",
    refusable=True,
)
ANSWERED = seal(
    REFUSED, id=f"{ASKED.id}/answer", source="inventory-2", subject=ORDER_ID, cause=ASKED, step="order.hold"
)
ANNOUNCED = seal(CHANGED, id="sku-000001/product-changed/7", source="inventory-1", subject="sku-000001")

GOLDEN = pytest.mark.parametrize(
    ("text", "envelope", "message"),
    [(COMMAND, ASKED, HOLD), (ANSWER, ANSWERED, REFUSED), (EVENT, ANNOUNCED, CHANGED)],
    ids=["command", "answer", "event"],
)


@GOLDEN
def test_we_write_the_golden_text(text: str, envelope: Envelope, message: Struct) -> None:
    assert encode(structs.replace(envelope, time=AT)).decode() == text


@GOLDEN
def test_we_read_the_golden_text(text: str, envelope: Envelope, message: Struct) -> None:
    read = decode(text.encode())
    assert read == structs.replace(envelope, time=AT)
    assert open_as(read, type(message)) == message


@GOLDEN
def test_what_a_newer_version_adds_is_ignored(text: str, envelope: Envelope, message: Struct) -> None:
    newer = text.replace('"data":{', '"new":{"deep":[1,{}]},"data":{"extra":null,', 1)
    read = decode(newer.encode())
    assert open_as(read, type(message)) == message
    assert structs.replace(read, data=envelope.data) == structs.replace(envelope, time=AT)


def test_an_undo_and_a_message_sent_again_say_so() -> None:
    undo = structs.replace(ASKED, undoes="order.hold", resent=True)
    assert b'"undoes":"order.hold"' in encode(undo) and b'"resent":true' in encode(undo)
    assert decode(encode(undo)) == undo
    assert mark_resent(encode(structs.replace(undo, resent=False))) == encode(undo)


def test_an_answer_names_its_cause_and_stays_in_its_trace() -> None:
    assert ANSWERED.causationid == ASKED.id
    assert ANSWERED.traceparent == ASKED.traceparent
    assert seal(REFUSED, id="x", source="s", subject="s", cause=ASKED, traceparent="own").traceparent == "own"
    assert ANNOUNCED.causationid == ANNOUNCED.traceparent == ""


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "subject", "time", "data"])
def test_an_envelope_without_one_of_its_parts_is_malformed(name: str) -> None:
    parts = json.decode(COMMAND)
    del parts[name]
    with pytest.raises(Malformed, match=f"missing required field `{name}`"):
        decode(json.encode(parts))


@pytest.mark.parametrize("value", [7, None, [], {}])
@pytest.mark.parametrize("name", ["specversion", "id", "subject", "time", "step", "refusable"])
def test_a_part_of_the_wrong_type_is_malformed(name: str, value: object) -> None:
    with pytest.raises(Malformed, match="not an envelope"):
        decode(json.encode({**json.decode(COMMAND), name: value}))


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"null",
        b"[]",
        b"{}",
        b"hello",
        COMMAND.encode()[:-1],
        COMMAND.encode() + b"x",
        COMMAND.encode().replace(b"2026-01-02T", b"yesterday"),
        COMMAND.encode().replace(b"orchestrator-1", b"\xff\xfe"),
        COMMAND.encode().replace(b"orchestrator-1", rb"\ud800"),
        COMMAND.encode().replace(b"1999", b"[" * 100_000 + b"]" * 100_000),
        b"[" * 100_000,
    ],
)
def test_bytes_that_are_no_envelope_are_malformed(value: bytes | None) -> None:
    with pytest.raises(Malformed, match="not an envelope"):
        decode(value)


@pytest.mark.parametrize("name", ["id", "source", "type", "causationid", "traceparent", "step", "undoes"])
def test_what_an_answer_repeats_is_short(name: str) -> None:
    long = structs.replace(ASKED, **{name: "x" * LARGEST_HEAD})
    with pytest.raises(Malformed, match=f"more than {LARGEST_HEAD} bytes beside its data"):
        decode(encode(long))


def test_data_may_be_as_long_as_it_is() -> None:
    lines = HoldStock((Line("sku-000001", 2, 1999),) * 10_000)
    assert open_as(decode(encode(structs.replace(ASKED, data=Raw(json.encode(lines))))), HoldStock) == lines


def test_our_own_messages_are_sent_again_whatever_their_size() -> None:
    assert b'"resent":true' in mark_resent(encode(structs.replace(ASKED, subject="x" * 2 * LARGEST_HEAD)))


@pytest.mark.parametrize(
    "data",
    [
        "{}",
        "null",
        "[]",
        '{"lines":null}',
        '{"lines":[{"sku":"a"}]}',
        '{"lines":[{"sku":"a","quantity":"2"}]}',
        '{"lines":[{"sku":"a","quantity":2.5}]}',
        '{"lines":[{"sku":7,"quantity":2}]}',
        '{"lines":[{"sku":"\\ud800","quantity":2}]}',
        '{"lines":[{"sku":"a","quantity":1' + "0" * 5000 + "}]}",
    ],
)
def test_data_that_is_not_what_its_type_says_is_malformed(data: str) -> None:
    envelope = structs.replace(ASKED, data=Raw(data.encode()))
    with pytest.raises(Malformed, match="not a HoldStock"):
        open_as(envelope, HoldStock)


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_at_all_are_an_envelope_or_malformed(value: bytes) -> None:
    try:
        decode(value)
    except Malformed:
        pass


def test_a_subject_stays_in_its_shard_for_ever() -> None:
    """Computed once, by hand of `zlib.crc32`: other numbers would part orders from what is stored."""
    assert [shard_of(subject, 4) for subject in ("", "a", "sku-000001", ORDER_ID)] == [0, 3, 3, 1]


@given(st.text(), st.integers(1, 64))
def test_equal_subjects_share_a_shard(subject: str, shards: int) -> None:
    assert 0 <= shard_of(subject, shards) < shards
    assert shard_of(subject, shards) == shard_of("".join(list(subject)), shards)


def test_every_shard_has_its_part() -> None:
    counts = [0] * 4
    for n in range(10_000):
        counts[shard_of(f"{n:08x}-7c1e-7d3f-8a5b-1c2d3e4f5a6b", 4)] += 1
    assert min(counts) > 2_000
