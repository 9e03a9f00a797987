"""Which Idempotency-Key headers name a key, and when two requests mean the same one."""

from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.idempotency import Record, fingerprint, key_id, parse_key, read_key, refuse_reuse
from services.runtime.problems import Problem

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ('"8e03978e"', "8e03978e"),
        ("8e03978e", "8e03978e"),
        (' "8e03978e" ', "8e03978e"),
        ("\t8e03978e ", "8e03978e"),
        ('"two words"', "two words"),
        ('" "', " "),
        (r'"say \"hello\""', 'say "hello"'),
        (r'"back\\slash"', r"back\slash"),
        (r'"\\\""', '\\"'),
        ("a,b;c=d", "a,b;c=d"),
        ("x", "x"),
        ("~!#$", "~!#$"),
    ],
)
def test_a_key_is_a_quoted_string_or_bare(header: str, key: str) -> None:
    assert parse_key(header) == key


@given(PRINTABLE)
def test_any_printable_key_survives_its_quotes(key: str) -> None:
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_key(f'"{quoted}"') == key


def problem(header: str | None) -> str:
    with pytest.raises(Problem) as caught:
        parse_key(header)
    assert caught.value.status == 400
    kind: str = msgspec.json.decode(caught.value.body)["type"]
    return kind


def test_no_key_is_told_from_a_bad_one() -> None:
    assert problem(None) == "/problems/idempotency-key-missing"
    assert problem("") == "/problems/idempotency-key-invalid"


@pytest.mark.parametrize(
    "header",
    [
        '""',
        " ",
        '"',
        '"open',
        'close"',
        'mid"dle',
        '"a""b"',
        '"a" "b"',
        '"a"b',
        r'"\a"',
        r'"trailing\"',
        "two words",
        '"a";parameter',
        '"caf\u00e9"',
        "caf\u00e9",
        "\u2028",
        '"tab\there"',
        '"nul\x00"',
        "nul\x00",
        '"line\nfeed"',
        "delete\x7f",
        '"delete\x7f"',
    ],
)
def test_what_names_no_key_is_refused(header: str) -> None:
    assert problem(header) == "/problems/idempotency-key-invalid"


def test_a_request_names_one_key() -> None:
    assert read_key(['"a"']) == "a"
    for headers in (["a", "b"], ["a", "a"]):
        with pytest.raises(Problem) as caught:
            read_key(headers)
        assert caught.value.status == 400
    with pytest.raises(Problem):
        read_key([])


@pytest.mark.parametrize("form", ["%s", '"%s"'])
def test_a_key_has_at_most_255_characters(form: str) -> None:
    assert parse_key(form % ("k" * 255)) == "k" * 255
    assert problem(form % ("k" * 256)) == "/problems/idempotency-key-invalid"


def test_escapes_do_not_count_twice() -> None:
    assert len(parse_key('"' + '\\"' * 255 + '"')) == 255


@pytest.mark.parametrize("header", ["key\u00a0", "\x1fkey", '\x85"key"', "key\x0b"])
def test_only_spaces_and_tabs_around_a_key_are_ignored(header: str) -> None:
    assert problem(header) == "/problems/idempotency-key-invalid"


def test_the_same_key_in_the_same_scope_is_the_same_row() -> None:
    assert key_id("k", "ann", "POST", "/orders") == key_id("k", "ann", "POST", "/orders")
    assert str(UUID(key_id("k", "ann"))) == key_id("k", "ann")


def test_another_scope_or_key_is_another_row() -> None:
    scopes = [
        ("k", "ann", "POST", "/orders"),
        ("k", "bob", "POST", "/orders"),
        ("k", "ann", "PUT", "/orders"),
        ("k", "ann", "POST", "/products"),
        ("l", "ann", "POST", "/orders"),
        ("/orders", "ann", "POST", "k"),
        ("k", "annPOST", "", "/orders"),
        ("k", "ann", "POST/orders"),
        ("k",),
    ]
    assert len({key_id(*scope) for scope in scopes}) == len(scopes)


@given(PRINTABLE, PRINTABLE)
def test_where_the_scope_ends_and_the_key_begins_cannot_be_shifted(scope: str, key: str) -> None:
    shifted = key_id(key[1:], scope + key[0])
    assert shifted != key_id(key, scope)


def test_a_key_row_is_the_same_in_every_process_and_version() -> None:
    assert key_id("8e03978e", "customer-000001", "POST", "/orders") == "cca099db-ef73-0645-a52c-3128c66ec1ac"


def test_a_key_used_for_another_request_is_refused() -> None:
    record = Record("id", fingerprint(b"one"), None, 200, "{}")
    refuse_reuse(record, fingerprint(b"one"))
    with pytest.raises(Problem) as caught:
        refuse_reuse(record, fingerprint(b"two"))
    assert caught.value.status == 422
