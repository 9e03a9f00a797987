"""The load client: what it reads off the wire, and what it does with answers that are not final."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable

import pytest
import uvloop

from lab.client import Answer, BrokenAnswer, Load, Parser, Verdict
from lab.workload import Orders, accepted
from tests.unit.test_lab_state import stack

CREATED = b'HTTP/1.1 201 Created\r\nServer: x\r\nContent-Length: 13\r\n\r\n{"order_id":1'
BUSY = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nRetry-After: 0\r\n\r\n"


def test_an_answer_is_whole_however_the_bytes_are_cut() -> None:
    for cut in range(1, len(CREATED)):
        parser = Parser()
        answers = parser.feed(CREATED[:cut]) + parser.feed(CREATED[cut:])
        assert [(a.status, a.body) for a in answers] == [(201, b'{"order_id":1')]


def test_bytes_one_by_one_make_the_same_answers() -> None:
    parser = Parser()
    answers = [answer for n in range(len(CREATED)) for answer in parser.feed(CREATED[n : n + 1])]
    assert [answer.status for answer in answers] == [201]


def test_several_answers_in_one_chunk_are_all_heard() -> None:
    assert [a.status for a in Parser().feed(CREATED + BUSY + CREATED[:50])] == [201, 429]


def test_an_interim_answer_is_not_the_answer() -> None:
    assert [a.status for a in Parser().feed(b"HTTP/1.1 100 Continue\r\n\r\n" + CREATED)] == [201]


def test_an_answer_without_a_body_needs_no_length() -> None:
    assert Parser().feed(b"HTTP/1.1 204 No Content\r\n\r\n") == [Answer(204, b"", 0.0, False)]


@pytest.mark.parametrize(("value", "seconds"), [(b"7", 7.0), (b"soon", 1.0)])
def test_a_busy_shop_says_when_to_come_again(value: bytes, seconds: float) -> None:
    (answer,) = Parser().feed(b"HTTP/1.1 429 Busy\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n" % value)
    assert answer.retry_after_s == seconds


def test_a_closing_server_is_noticed() -> None:
    (answer,) = Parser().feed(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert answer.closes


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
        b"<html>\r\n\r\n",
        b"x" * 70_000,
    ],
)
def test_what_it_cannot_measure_is_an_error_and_not_a_hang(data: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        Parser().feed(data)


Script = Callable[[bytes, int], bytes]
"""The whole answer to a request, and to how many times its key was seen."""


async def shop(script: Script) -> tuple[asyncio.Server, int]:
    """A server that answers by script; empty bytes: it hangs up."""
    seen: Counter[bytes] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                key = head.split(b'Idempotency-Key: "')[1].split(b'"')[0]
                seen[key] += 1
                answer = script(key, seen[key])
                if not answer:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


def answer(status: int, body: bytes = b"{}", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n%s" % (status, more, len(body), body)


def orders(count: int) -> Orders:
    return Orders(stack(), "saga", count, skew=0.0, wait_s=5, seed=1)


async def closed(script: Script, count: int, in_flight: int) -> tuple[Load, Orders]:
    server, port = await shop(script)
    async with server:
        work = orders(count)
        load = Load("127.0.0.1", port, count, work.request, work.judge, in_flight)
        async with asyncio.timeout(20):
            await load.closed(in_flight)
    return load, work


@pytest.mark.asyncio
async def test_a_closed_loop_sends_every_order_once() -> None:
    load, _ = await closed(lambda key, seen: answer(201) if seen == 1 else answer(500), 500, 16)
    assert Counter(load.verdicts) == {Verdict.CONFIRMED: 500}
    assert len(load.latencies_ms()) == 500
    assert load.retried == 0


@pytest.mark.asyncio
async def test_outcomes_are_told_apart() -> None:
    def script(key: bytes, seen: int) -> bytes:
        match int(key[-8:]) % 3:
            case 0:
                return answer(201)
            case 1:
                return answer(409, b'{"type":"/problems/out-of-stock"}')
            case _:
                return answer(202, b'{"order_id":"abc","status":"PENDING"}')

    load, work = await closed(script, 30, 4)
    assert Counter(load.verdicts) == {Verdict.CONFIRMED: 10, Verdict.REFUSED: 10, Verdict.RUNNING: 10}
    assert work.running == dict.fromkeys(range(2, 30, 3), "abc")
    assert len(load.latencies_ms()) == 20


@pytest.mark.asyncio
async def test_busy_and_in_progress_are_asked_again_with_the_same_key() -> None:
    def script(key: bytes, seen: int) -> bytes:
        if seen == 1:
            return (
                BUSY.replace(b": 0\r\n\r\n", b": 1\r\n\r\n")
                if key[-1:] == b"1"
                else answer(409, b'{"type":"/problems/request-in-progress"}')
            )
        return answer(201)

    begun = time.monotonic()
    load, _ = await closed(script, 8, 8)
    assert Counter(load.verdicts) == {Verdict.CONFIRMED: 8}
    assert load.retried == 8
    assert time.monotonic() - begun >= 1.0  # as Retry-After said
    assert max(load.latencies_ms()) >= 1000  # the waiting is the customer's, too


@pytest.mark.asyncio
async def test_a_lost_connection_is_replaced_and_the_order_sent_again() -> None:
    load, _ = await closed(lambda key, seen: b"" if seen == 1 and key[-1:] == b"3" else answer(201), 40, 4)
    assert Counter(load.verdicts) == {Verdict.CONFIRMED: 40}
    assert load.retried == 4


@pytest.mark.asyncio
async def test_a_server_that_closes_after_each_answer_is_no_trouble() -> None:
    load, _ = await closed(lambda key, seen: answer(201, more=b"Connection: close\r\n"), 50, 4)
    assert Counter(load.verdicts) == {Verdict.CONFIRMED: 50}


@pytest.mark.asyncio
async def test_an_answer_that_should_not_be_fails_the_order_and_is_kept() -> None:
    load, work = await closed(lambda key, seen: answer(400, b"bad luck"), 3, 1)
    assert Counter(load.verdicts) == {Verdict.FAILED: 3}
    assert work.complaint == "400 bad luck"


@pytest.mark.asyncio
async def test_an_open_loop_measures_from_the_intended_start() -> None:
    """The shop stalls at once and for good 0.3 s; orders that were due meanwhile have waited as well."""
    opens = time.monotonic() + 0.35

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
                with contextlib.suppress(TimeoutError):  # stalls, as a shop does that is out of breath
                    await asyncio.wait_for(asyncio.Event().wait(), max(0.0, opens - time.monotonic()))
                writer.write(answer(201))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(20):
        work = orders(40)
        load = Load("127.0.0.1", server.sockets[0].getsockname()[1], 40, work.request, work.judge, 4)
        await load.open([n / 100 for n in range(40)])
    latencies = load.latencies_ms()
    assert len(latencies) == 40
    # Only four connections: the tenth order could not even be sent, yet its clock ran from 0.1 s on.
    assert latencies[10] > 150
    assert load.latencies_ms(lead_s=0.195) == latencies[20:], "those that were due before had no part in it"


def test_every_request_names_its_key_customer_and_product() -> None:
    work = orders(3)
    request = work.request(2)
    head, _, body = request.partition(b"\r\n\r\n")
    assert b'-00000002"' in head
    assert b"Prefer: wait=5\r\n" in head
    assert b"Content-Length: %d" % len(body) in head
    assert b'"customer-%06d"' % (work.people[2] + 1) in body
    assert b'"sku-%06d"' % (work.goods[2] + 1) in body


def test_what_orders_need_is_known_beforehand() -> None:
    work = orders(100)
    pieces = work.pieces()
    assert pieces.total() == 100
    assert work.spending(dict.fromkeys(pieces, 5)).total() == 500


def test_top_ups_are_repeated_until_they_are_accepted() -> None:
    judge = accepted()
    verdicts = [judge(0, Answer(status, b"", 0.0, False)) for status in (200, 409, 503, 400)]
    assert verdicts == [Verdict.CONFIRMED, Verdict.AGAIN, Verdict.AGAIN, Verdict.FAILED]


def test_it_runs_on_uvloop_as_the_benchmark_does() -> None:
    load, _ = uvloop.run(closed(lambda key, seen: answer(201), 20, 4))
    assert Counter(load.verdicts) == {Verdict.CONFIRMED: 20}
