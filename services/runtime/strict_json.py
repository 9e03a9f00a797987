"""JSON as RFC 8259 and I-JSON (RFC 7493) have it, from people we do not know.

The standard library takes NaN, duplicate names, lone surrogates, integers of any length and any depth;
here each is an error with a sentence that says what to change. So is what would cost far more than it says:
a value takes a hundred bytes of memory, and two of a body are enough for one.
"""

import json
import math
from collections import Counter
from typing import Any

MOST_MEMBERS = 100
"""Of one object: several times what any of ours has. Each that nobody expects is complained of at length."""

MOST_VALUES = 1_000_000
"""In one text, unless the caller says less."""


class NotJson(ValueError):
    """The message says what is wrong, for the sender."""


def loads(body: bytes, most_values: int = MOST_VALUES) -> Any:
    """The value of a JSON text in UTF-8. Raises NotJson."""
    # Each value but the first comes after one of these. Those inside of strings are counted, too, and
    # nothing of ours has many.
    if body.count(b",") + body.count(b"[") + body.count(b"{") > most_values:
        raise NotJson(f"the body has more than {most_values} values")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson(f"the body is not UTF-8 (byte {error.start})") from None
    try:
        value = _decoder.decode(text)
        if "\\u" in text:
            _refuse_surrogates(value)
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MOST_MEMBERS:
        raise NotJson(f"an object has more than {MOST_MEMBERS} members")
    value = dict(pairs)
    if len(value) != len(pairs):
        [(repeated, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise NotJson(f"the name {repeated!r:.100} occurs twice in one object")
    return value


def _integer(digits: str) -> int:
    if len(digits) > 19:
        raise NotJson("an integer has more than 19 characters")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise NotJson(f"{digits:.40} is beyond any number")
    return value


def _constant(name: str) -> Any:
    raise NotJson(f"{name} is not JSON")


def _refuse_surrogates(value: Any) -> None:
    match value:
        case str():
            if any("\ud800" <= character <= "\udfff" for character in value):
                raise NotJson("a string holds half of a surrogate pair")
        case list():
            for item in value:
                _refuse_surrogates(item)
        case dict():
            for name, item in value.items():
                _refuse_surrogates(name)
                _refuse_surrogates(item)


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
