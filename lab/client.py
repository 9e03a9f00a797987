"""A load client that costs the shop as little as possible: it runs on the machine that it measures.

Raw HTTP/1.1 over asyncio.Protocol: one request in flight a connection, ready-made bytes out, and of the
answer only what must be known. A closed loop keeps M requests in flight; an open loop sends each at its
intended time whatever the shop does, and measures from that time, so that a stall is not hidden by the
requests that were not sent during it ("coordinated omission").
"""

import asyncio
import time
from array import array
from collections import deque
from collections.abc import Callable, Container, Sequence
from enum import IntEnum
from typing import NamedTuple, cast

HEAD_LIMIT = 65_536
CONNECT_RETRY_S = 0.25
BACK_OFF_S = 0.5  # after a 5xx or a lost connection; a 429 tells its own time
TRIES = 20
STALLED_S = 90.0  # without a single answer: longer than any wait that we ask for


class BrokenAnswer(Exception):
    """The server spoke something that this client does not."""


class Answer(NamedTuple):
    status: int
    body: bytes
    retry_after_s: float
    closes: bool


class Parser:
    """Bytes in, whole answers out, however the bytes were cut. Needs a Content-Length; never guesses."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Answer]:
        """Raises BrokenAnswer rather than wait for ever for the end of something it cannot measure."""
        self._buffer = self._buffer + data if self._buffer else data
        answers = []
        while self._buffer:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > HEAD_LIMIT:
                    raise BrokenAnswer("a head without end")
                break
            head, start = self._buffer[: end + 2], end + 4
            status = _status(head)
            length = 0 if status < 200 or status in (204, 304) else _length(head)
            if len(self._buffer) < start + length:
                break
            body, self._buffer = self._buffer[start : start + length], self._buffer[start + length :]
            if status >= 200:  # a 1xx announces the answer proper
                closes = b"onnection: close\r\n" in head
                answers.append(
                    Answer(status, body, _retry_after(head) if status in (429, 503) else 0.0, closes)
                )
        return answers


def _status(head: bytes) -> int:
    if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit():
        raise BrokenAnswer(f"not an HTTP/1 answer: {head[:40]!r}")
    return int(head[9:12])


def _header(head: bytes, name: bytes) -> bytes | None:
    lower = head.lower()
    at = lower.find(b"\r\n" + name + b":")
    return None if at < 0 else head[at + len(name) + 3 : head.index(b"\r\n", at + 2)].strip()


def _length(head: bytes) -> int:
    at = head.find(b"\r\nContent-Length: ")  # as nginx writes it
    value = head[at + 18 : head.index(b"\r\n", at + 18)] if at >= 0 else _header(head, b"content-length")
    if value is None or not value.isdigit():
        raise BrokenAnswer("an answer without Content-Length")
    return int(value)


def _retry_after(head: bytes) -> float:
    value = _header(head, b"retry-after") or b""
    return float(value) if value.isdigit() else 1.0


class Verdict(IntEnum):
    """What became of a job. `AGAIN` is not final: the same bytes, hence the same key, are sent again."""

    UNKNOWN = 0
    CONFIRMED = 1
    REFUSED = 2
    RUNNING = 3
    FAILED = 4
    AGAIN = 5


Judge = Callable[[int, Answer], Verdict]

Record = Callable[[int, float, Answer | None], None]
"""Told of each request: the job, when it was sent, and its answer. None: there was none, and will be none."""


class _Connection(asyncio.Protocol):
    """Carries one job at a time; -1 is none."""

    def __init__(self, load: "Load") -> None:
        self.load, self.parser, self.job, self.sent = load, Parser(), -1, 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but ancestry

    def data_received(self, data: bytes) -> None:
        try:
            answers = self.parser.feed(data)
        except BrokenAnswer as error:
            self.load.broken = str(error)
            if self.transport:
                self.transport.abort()
            return
        for answer in answers:
            self.load.answered(self, answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.load.lost(self)


class Load:
    """Sends `count` jobs and keeps, for each: when it began, when its final answer came, and which."""

    FINAL = (Verdict.CONFIRMED, Verdict.REFUSED)

    def __init__(
        self,
        host: str,
        port: int,
        count: int,
        request: Callable[[int], bytes],
        judge: Judge,
        connections: int,
        record: Record | None = None,
        most_tries: int = TRIES,
    ) -> None:
        self.host, self.port, self.count = host, port, count
        self.request, self.judge, self.most = request, judge, connections
        self.record, self.most_tries = record, most_tries
        self.began, self.ended = array("d", bytes(8 * count)), array("d", bytes(8 * count))
        self.verdicts, self.tries = bytearray(count), bytearray(count)
        self.done, self.retried, self.connections, self.broken = 0, 0, 0, ""
        self._ready: deque[int] = deque()
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._next: Callable[[], None] = lambda: None
        self._opening: set[asyncio.Task[None]] = set()

    async def closed(self, in_flight: int, watch: Callable[[int], None] = lambda _: None) -> None:
        """`in_flight` jobs at any moment: the next begins when one has its final answer."""
        left = iter(range(self.count))

        def begin() -> None:
            job = next(left, None)
            if job is not None:
                self.began[job] = time.perf_counter()
                self._ready.append(job)
                self._pump()

        self._next = begin
        for _ in range(min(in_flight, self.count)):
            begin()
        await self._wait(watch)

    async def open(self, starts: Sequence[float], watch: Callable[[int], None] = lambda _: None) -> None:
        """Job n begins `starts[n]` seconds from now, sent or not."""
        zero, loop = time.perf_counter() + 0.05, asyncio.get_running_loop()
        due = 0

        def tick() -> None:
            nonlocal due
            now = time.perf_counter() - zero
            while due < self.count and starts[due] <= now:
                self.began[due] = zero + starts[due]
                self._ready.append(due)
                due += 1
            self._pump()
            if due < self.count:
                loop.call_later(max(0.001, starts[due] - now), tick)

        tick()
        await self._wait(watch)

    def latencies_ms(self, of: Container[int] = FINAL, lead_s: float = 0.0) -> list[float]:
        """Of the jobs with such an answer that began `lead_s` after the first or later."""
        since = min(filter(None, self.began), default=0.0) + lead_s  # who never began has 0
        known = (n for n in range(self.count) if self.verdicts[n] in of and self.began[n] >= since)
        return [1000 * (self.ended[n] - self.began[n]) for n in known]

    def _pump(self) -> None:
        while self._ready and self._idle:
            connection = self._idle.pop()
            if connection.transport is None or connection.transport.is_closing():
                continue
            job = connection.job = self._ready.popleft()
            connection.sent = time.perf_counter()
            self._busy.add(connection)
            connection.transport.write(self.request(job))
        for _ in range(min(len(self._ready) - len(self._opening), self.most - self.connections)):
            self.connections += 1
            task = asyncio.get_running_loop().create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while self.done < self.count:
            try:
                _, connection = await loop.create_connection(lambda: _Connection(self), self.host, self.port)
            except OSError:
                await asyncio.sleep(CONNECT_RETRY_S)
            else:
                self._idle.append(connection)
                loop.call_soon(self._pump)
                return

    def answered(self, connection: _Connection, answer: Answer) -> None:
        if (job := self._over(connection, answer)) < 0:
            return
        if answer.closes and connection.transport:
            connection.transport.close()
        else:
            self._idle.append(connection)
        verdict = self.judge(job, answer)
        if verdict is Verdict.AGAIN:
            self._again(job, answer.retry_after_s or BACK_OFF_S)
        else:
            self._finish(job, verdict)
        self._pump()

    def lost(self, connection: _Connection) -> None:
        self.connections -= 1
        if (job := self._over(connection, None)) >= 0:
            self._again(job, BACK_OFF_S)
        self._pump()

    def _over(self, connection: _Connection, answer: Answer | None) -> int:
        """The job whose request has been answered, or never will be; -1 is none."""
        job, connection.job = connection.job, -1
        self._busy.discard(connection)
        if self.record and job >= 0:
            self.record(job, connection.sent, answer)
        return job

    def _again(self, job: int, after_s: float) -> None:
        self.tries[job] += 1
        if self.tries[job] >= self.most_tries:
            self._finish(job, Verdict.FAILED)
            return
        self.retried += 1

        def send() -> None:
            self._ready.append(job)
            self._pump()

        asyncio.get_running_loop().call_later(after_s, send)

    def _finish(self, job: int, verdict: Verdict) -> None:
        self.ended[job] = time.perf_counter()
        self.verdicts[job] = verdict
        self.done += 1
        self._next()

    async def _wait(self, watch: Callable[[int], None]) -> None:
        """Until every job has ended, or nothing has for a long time."""
        seen, since = -1, time.perf_counter()
        try:
            while self.done < self.count:
                if self.done != seen:
                    seen, since = self.done, time.perf_counter()
                if time.perf_counter() - since > STALLED_S:
                    break
                watch(self.done)
                await asyncio.sleep(0.02 if self.count < 2_000 else 0.1)
            watch(self.done)
        finally:
            self._leave()

    def _leave(self) -> None:
        """What is under way is given up."""
        self._next = lambda: None
        self._ready.clear()
        for connection in (*self._idle, *self._busy):
            self._over(connection, None)
            if connection.transport:
                connection.transport.abort()
        for task in self._opening:
            task.cancel()
