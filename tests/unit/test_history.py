"""What a load remembers: each request, its answer, and what that settles."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from lab import history
from lab.client import Answer, Load
from lab.history import Line, Outcome, Recorder, outcome_of, told
from lab.state import Trouble
from tests.unit.test_lab_client import BUSY, Script, answer, orders, shop

ID = "01a208a7-a42c-7f03-a55b-23cc1d92ce0c"
YES = b'{"order_id":"%s","status":"CONFIRMED"}' % ID.encode()
NO = b'{"order_id":"%s","type":"/problems/out-of-stock"}' % ID.encode()
RUNS = b'{"order_id":"%s","type":"/problems/request-in-progress"}' % ID.encode()


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (201, YES, "ok"),
        (202, b'{"status":"PENDING"}', "unknown"),
        (409, NO, "refused"),
        (409, RUNS, "unknown"),
        (429, b"busy", "refused"),
        (422, b"{}", "refused"),
        (500, b"", "unknown"),
        (503, NO, "unknown"),
        (None, b"", "unknown"),
    ],
)
def test_an_answer_settles_what_it_says(status: int | None, body: bytes, outcome: Outcome) -> None:
    assert outcome_of("place", status, body) == outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("CONFIRMED", "ok"),
        ("CANCELLED", "ok"),
        ("REFUSED", "refused"),
        ("PENDING", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_look_at_an_order_settles_what_it_shows(status: str, outcome: Outcome) -> None:
    assert outcome_of("read", 200, msgspec.json.encode({"status": status})) == outcome


async def lines_of(script: Script, count: int, most_tries: int = 20) -> list[Line]:
    server, port = await shop(script)
    lines: list[Line] = []
    async with server, asyncio.timeout(20):
        work = orders(count)
        recorder = Recorder(work, lines.append)

        def record(job: int, sent: float, heard: Answer | None) -> None:
            recorder.placed(job, load.began[job], sent, heard)

        load = Load("127.0.0.1", port, count, work.request, work.judge, 4, record, most_tries)
        await load.closed(4)
    return lines


@pytest.mark.asyncio
async def test_each_request_is_a_line_and_a_key_is_all_its_lines() -> None:
    def script(key: bytes, seen: int) -> bytes:
        return (b"", BUSY, answer(201, YES))[min(seen, 3) - 1]

    lines = await lines_of(script, 6)
    found = told(lines)
    assert len(lines) == 18 and len(found) == 6
    assert {tuple(line.status for line in one.lines) for one in found} == {(None, 429, 201)}
    assert {one.outcome for one in found} == {"ok"}
    assert all(line.due <= line.sent for line in lines)
    assert all(line.heard is None or line.sent <= line.heard for line in lines)
    assert {one.key[-3:] for one in found} == {f"00{n}" for n in range(6)}


@pytest.mark.asyncio
async def test_who_asks_once_does_not_know() -> None:
    lines = await lines_of(lambda key, seen: b"", 5, most_tries=1)
    assert [(line.status, line.heard, line.outcome) for line in lines] == [(None, None, "unknown")] * 5


@pytest.mark.asyncio
async def test_what_is_under_way_when_the_load_is_given_up_has_a_line() -> None:
    lines: list[Line] = []
    all_sent = asyncio.Barrier(4)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await all_sent.wait()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        work = orders(3)
        recorder = Recorder(work, lines.append)
        port = server.sockets[0].getsockname()[1]
        load = Load(
            *("127.0.0.1", port, 3, work.request, work.judge, 3),
            record=lambda job, sent, heard: recorder.placed(job, load.began[job], sent, heard),
        )
        sending = asyncio.create_task(load.closed(3))
        async with asyncio.timeout(20):
            await all_sent.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
    assert [line.status for line in lines] == [None] * 3


def line(status: int | None, body: bytes = b"") -> Line:
    return Line(
        asked="place",
        key="k",
        customer="c",
        items={"s": 1},
        protocol="saga",
        due=0.0,
        sent=0.0,
        heard=None,
        status=status,
        answer=body.decode(),
        outcome=outcome_of("place", status, body),
    )


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        ([line(None), line(201, YES)], "ok"),
        ([line(None), line(409, NO)], "refused"),
        ([line(None), line(429)], "unknown"),
        ([line(429), line(429)], "refused"),
        ([line(202, YES)], "unknown"),
    ],
)
def test_a_no_to_one_request_is_not_about_the_one_before(lines: list[Line], outcome: Outcome) -> None:
    assert told(lines)[0].outcome == outcome


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    lines = [line(201, YES), line(None)]
    with history.writing(tmp_path / "h") as put:
        for one in lines:
            put(one)
    [found] = history.load(tmp_path / "h")
    assert list(found.lines) == lines


@pytest.mark.parametrize(
    ("text", "complaint"),
    [(b'{"asked":"place"}\n', "line 1 of"), (b"nonsense", "line 1 of"), (b"", "is empty")],
)
def test_what_is_no_history_is_said_so(tmp_path: Path, text: bytes, complaint: str) -> None:
    (tmp_path / "h").write_bytes(text)
    with pytest.raises(Trouble, match=complaint):
        history.load(tmp_path / "h")
    with pytest.raises(Trouble, match="cannot be read"):
        history.load(tmp_path / "none")
