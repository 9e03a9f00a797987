"""What strangers send is JSON, or they are told why it is not."""

import contextlib
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.strict_json import NotJson, loads

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18) + 1, 10**19 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))

SHAPES = ["%s", "[%s]", '{"a": %s}', '{"a": [1, {"b": %s}]}']


@given(VALUES, st.booleans(), st.sampled_from([None, 2]))
def test_whatever_json_can_say_is_read_back(value: object, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert repr(loads(text.encode())) == repr(value)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("NaN", "NaN is not JSON"),
        ("Infinity", "Infinity is not JSON"),
        ("-Infinity", "-Infinity is not JSON"),
        ("1" + "0" * 19, "more than 19 characters"),
        ("-1" + "0" * 18, "more than 19 characters"),
        ("9" * 5000, "more than 19 characters"),
        ("-" + "9" * 5000, "more than 19 characters"),
        ('{"a": 1, "a": 1}', "'a' occurs twice"),
        ('{"a": 1, "b": 2, "\\u0061": 3}', "'a' occurs twice"),
        ('{"": 1, "": 1}', "'' occurs twice"),
        ('"\\ud800"', "half of a surrogate pair"),
        ('"\\udfff"', "half of a surrogate pair"),
        ('"x\\ude00\\ud83d"', "half of a surrogate pair"),
        ('{"\\ud800": 1}', "half of a surrogate pair"),
        ("'a'", "Expecting"),
        ("01", "line 1, column"),
        ("+1", "Expecting value"),
        ("tru", "Expecting value"),
        ("{a: 1}", "Expecting property name"),
        ("[1,]", "line 1, column"),
        ('"\x00"', "Invalid control character"),
        ('"\n"', "Invalid control character"),
        ('"\\x41"', "Invalid"),
    ],
)
def test_what_is_not_json_is_refused_wherever_it_stands(text: str, why: str, shape: str) -> None:
    with pytest.raises(NotJson, match=why):
        loads((shape % text).encode())


@pytest.mark.parametrize("end", [b"", b" ", b"\n\t", b"{", b"[", b'{"a"', b'"abc'])
def test_a_body_that_ends_too_early_is_refused(end: bytes) -> None:
    with pytest.raises(NotJson, match="line"):
        loads(end)


@pytest.mark.parametrize("body", [b"{} {}", b"1 2", b"{}x", b"[]\x00"])
def test_a_body_is_one_value_and_no_more(body: bytes) -> None:
    with pytest.raises(NotJson, match="Extra data"):
        loads(body)


@pytest.mark.parametrize(
    "body", [b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf5\x80\x80\x80"', b'"\xc3']
)
def test_a_body_that_is_not_utf_8_is_refused_with_the_place(body: bytes) -> None:
    with pytest.raises(NotJson, match=r"not UTF-8 \(byte 1\)"):
        loads(body)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_no_byte_order_mark_and_no_other_encoding_is_taken(encoding: str) -> None:
    with pytest.raises(NotJson):
        loads('{"a": 1}'.encode(encoding))


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('{"\\u0061":[', "]}")])
def test_nesting_without_end_is_refused(opening: str, closing: str) -> None:
    for body in (opening * 100_000, opening * 100_000 + "1" + closing * 100_000):
        with pytest.raises(NotJson, match="nested too deeply"):
            loads(body.encode())


def test_no_depth_is_between_two_stools() -> None:
    """A text that the decoder just manages is a value or an error, whatever is looked for in it later."""
    for depth in range(500, 1100):
        body = "[" * depth + '"\\u0041"' + "]" * depth
        try:
            loads(body.encode())
        except NotJson:
            return
    pytest.fail("nothing was too deep")


def test_an_object_has_a_hundred_members_and_no_more() -> None:
    def of(members: int) -> bytes:
        return json.dumps({str(n): n for n in range(members)}).encode()

    assert len(loads(of(100))) == 100
    with pytest.raises(NotJson, match="more than 100 members"):
        loads(of(101))


@pytest.mark.parametrize("text", [f"[{','.join(['1'] * 21)}]", f"[{','.join(['[]'] * 11)}]"])
def test_a_text_has_no_more_values_than_its_reader_wants(text: str) -> None:
    assert loads(text.encode(), 100) == json.loads(text)
    with pytest.raises(NotJson, match="more than 20 values"):
        loads(text.encode(), 20)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({f"m{n}": 1 for n in range(100_000)}),
        json.dumps([[]] * 2_000_000),
    ],
    ids=["one object", "lists without number"],
)
def test_what_is_refused_costs_little_memory(body: str) -> None:
    text = body.encode()
    tracemalloc.start()
    try:
        with contextlib.suppress(NotJson):
            loads(text)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 30 << 20


def test_infinity_has_no_other_spelling() -> None:
    with pytest.raises(NotJson):
        loads(b"1e400")


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert loads(rb'{"\ud83d\ude00": "\ud83d\ude00"}') == {"\U0001f600": "\U0001f600"}


@pytest.mark.parametrize(("text", "value"), [("9" * 19, 10**19 - 1), ("-" + "9" * 18, 1 - 10**18), ("-0", 0)])
def test_integers_of_up_to_nineteen_characters_are_exact(text: str, value: int) -> None:
    assert loads(text.encode()) == value


def test_the_same_name_in_two_objects_is_no_repetition() -> None:
    assert loads(b'[{"a": 1}, {"a": {"a": 2}}]') == [{"a": 1}, {"a": {"a": 2}}]


def test_a_long_repeated_name_does_not_come_back_whole() -> None:
    name = "n" * 10_000
    with pytest.raises(NotJson) as caught:
        loads(f'{{"{name}": 1, "{name}": 2}}'.encode())
    assert len(str(caught.value)) < 200
