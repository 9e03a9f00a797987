"""Bytes that two readers could take for one request or for two: nobody answers the second one."""

import asyncio
from typing import Any

import pytest

INNER = b"GET /readyz HTTP/1.1\r\nHost: shop\r\n\r\n"
"""What is smuggled. Everybody answers it, and nothing else here is answered like it."""

BEHIND_NGINX = "order-1"
"""Itself, at its own port: it must not rely on what nginx refuses."""

ANSWERED = b'"ready"'
LAST = b"GET /livez HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"

CHUNKED = b"0\r\n\r\n" + INNER
"""A body that ends early for whoever reads chunks, and holds a request for whoever does not."""

DOORS = ("NGINX_PUBLIC_PORT", "NGINX_INTERNAL_PORT", BEHIND_NGINX)


def post(headers: bytes, body: bytes = CHUNKED, version: bytes = b"1.1") -> bytes:
    start = b"POST /orders HTTP/" + version + b"\r\nHost: shop\r\nContent-Type: application/json\r\n"
    return start + headers + b"\r\n\r\n" + body


def length_and(encoding: bytes) -> bytes:
    """The length says that the inner request is body; the encoding, taken seriously, that it is not."""
    return post(b"Content-Length: %d\r\n" % len(CHUNKED) + encoding)


def lengths(*values: bytes) -> bytes:
    return post(b"\r\n".join(b"Content-Length: " + value for value in values), INNER)


WHOLE = b"%d" % len(INNER)
IN_A_CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)

ATTACKS: dict[str, bytes] = {
    "a length, and chunks": length_and(b"Transfer-Encoding: chunked"),
    "chunks, and a length that ends before": post(
        b"Transfer-Encoding: chunked\r\nContent-Length: 4", IN_A_CHUNK
    ),
    "a space before the colon": length_and(b"Transfer-Encoding : chunked"),
    "a tab before the colon": length_and(b"Transfer-Encoding\t: chunked"),
    "a tab after the colon": length_and(b"Transfer-Encoding:\tchunked"),
    "a vertical tab": length_and(b"Transfer-Encoding: \x0bchunked"),
    "a coding like chunked": length_and(b"Transfer-Encoding: xchunked"),
    "chunked in quotes": length_and(b'Transfer-Encoding: "chunked"'),
    "chunked, then another": length_and(b"Transfer-Encoding: chunked, identity"),
    "another, then chunked": length_and(b"Transfer-Encoding: identity, chunked"),
    "chunked twice": length_and(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    "two headers, one of them nonsense": length_and(b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked"),
    "capitals": length_and(b"TRANSFER-ENCODING: CHUNKED"),
    "an underscore": length_and(b"Transfer_Encoding: chunked"),
    "a NUL in the value": length_and(b"Transfer-Encoding: chunked\x00"),
    "a NUL in the name": length_and(b"Transfer-Encoding\x00: chunked"),
    "a folded line": length_and(b"X: y\r\n Transfer-Encoding: chunked"),
    "a folded value": length_and(b"Transfer-Encoding:\r\n chunked"),
    "a bare LF before it": length_and(b"X: y\nTransfer-Encoding: chunked"),
    "a bare CR before it": length_and(b"X: y\rTransfer-Encoding: chunked"),
    "behind the first line's end": b"POST /orders HTTP/1.1\n" + length_and(b"X: y").partition(b"\n")[2],
    "chunks in HTTP/1.0": post(b"Transfer-Encoding: chunked", CHUNKED, b"1.0"),
    "two lengths": lengths(WHOLE, b"0"),
    "two lengths, the other way round": lengths(b"0", WHOLE),
    "a list of lengths": lengths(WHOLE + b", 0"),
    "a length with a sign": lengths(b"+" + WHOLE),
    "a length below nothing": lengths(b"-1"),
    "a length in hexadecimal": lengths(b"0x" + WHOLE),
    "a length with a space in it": lengths(WHOLE[:1] + b" " + WHOLE[1:]),
    "a length beyond any number": lengths(b"1" * 40),
    "a length with an underscore": post(b"Content_Length: 0\r\nContent-Length: " + WHOLE, INNER),
    "a length after a bare CR": post(b"Content-Length: " + WHOLE + b"\rContent-Length: 0", INNER),
    "a chunk of 0x0 bytes": post(b"Transfer-Encoding: chunked", b"0x0\r\n\r\n" + INNER),
    "a chunk of less than nothing": post(b"Transfer-Encoding: chunked", b"-1\r\n\r\n" + INNER),
    "a chunk larger than any number": post(b"Transfer-Encoding: chunked", b"1" + b"0" * 16 + b"\r\n" + INNER),
    "a chunk without its end": post(b"Transfer-Encoding: chunked", b"1\r\nab0\r\n\r\n" + INNER),
    "a request in the trailers": post(b"Transfer-Encoding: chunked", b"0\r\n" + INNER),
    "a request in an extension": post(b"Transfer-Encoding: chunked", b"0;" + INNER.strip() + b"\r\n\r\n"),
    "a body of a GET": b"GET /orders/x HTTP/1.1\r\nHost: shop\r\nContent-Length: "
    + WHOLE
    + b"\r\n\r\n"
    + INNER,
    "in a header's value": post(b"X: y\r\n\tGET /readyz HTTP/1.1\r\nContent-Length: 0", b""),
    "in the path": b"GET /orders/x%20HTTP/1.1%0d%0a%0d%0aGET%20/readyz HTTP/1.1\r\nHost: shop\r\n\r\n",
    "in the query": b"GET /orders?customer_id=x%0d%0a%0d%0aGET%20/readyz HTTP/1.1\r\nHost: shop\r\n\r\n",
    "in a header that is passed on": post(
        b"traceparent: x\rGET /readyz HTTP/1.1\rHost: shop\r\r\r\nContent-Length: 0", b""
    ),
    "an upgrade to HTTP/2": post(
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: "
        + WHOLE,
        INNER,
    ),
    "an upgrade to a socket": (
        b"GET /orders/x HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: "
        + WHOLE
        + b"\r\n\r\n"
        + INNER
    ),
}

NGINX_ONLY = {"an upgrade to HTTP/2", "an upgrade to a socket"}
"""nginx passes on no `Upgrade`. A service that gets one answers it and never listens to that client again."""

TRIED = [(a, d) for a in ATTACKS for d in DOORS if not (a in NGINX_ONLY and d == BEHIND_NGINX)]


def port_of(stack: dict[str, Any], door: str) -> int:
    port: int = stack["ports"].get(door) or stack["processes"][door]["port"]
    return port


async def said_to(port: int, *written: bytes) -> bytes:
    """All that is answered until the door is shut: after the last request, or at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"".join(written))
        answer = b""
        try:
            async with asyncio.timeout(10):
                while more := await reader.read(65536):
                    answer += more
        except ConnectionResetError:  # what was not read is thrown away, and what was answered is here
            pass
        return answer
    finally:
        writer.close()


@pytest.mark.parametrize("door", DOORS)
async def test_requests_one_after_another_are_all_answered(stack: dict[str, Any], door: str) -> None:
    """So that the tests below would see it, if what was smuggled were answered."""
    prefix = b"/order" if door == "NGINX_INTERNAL_PORT" else b""
    answer = await said_to(port_of(stack, door), INNER.replace(b"/readyz", prefix + b"/readyz"), LAST)
    assert answer.count(b"HTTP/1.1 200") == 2 and ANSWERED in answer and b'"alive"' in answer


@pytest.mark.parametrize(("attack", "door"), TRIED)
async def test_no_request_is_hidden_in_another(stack: dict[str, Any], attack: str, door: str) -> None:
    sent = ATTACKS[attack]
    if door == "NGINX_INTERNAL_PORT":  # where the service's name comes before its paths
        sent = sent.replace(b" /orders", b" /order/orders").replace(b"/readyz", b"/order/readyz")
    answer = await said_to(port_of(stack, door), sent, LAST)
    assert ANSWERED not in answer
    assert answer.count(b"HTTP/1.1 ") <= 2, answer
    assert b"HTTP/1.1 5" not in answer or b"HTTP/1.1 501" in answer, answer
    assert answer, "not a word"
