"""How each kind of part is asked whether it is ready. Every answer comes within about two seconds."""

import http.client
import socket
import struct
import subprocess
import time
from pathlib import Path

TIMEOUT_S = 2.0
HOST = "127.0.0.1"
GROUP, OFFSETS = "watchdog", "__consumer_offsets"
"""Who commits when Kafka is asked, and an offset of what: this topic is there wherever groups are."""


def postgres(programs: Path, port: int) -> bool:
    """Accepts connections: recovery is over."""
    asked = [str(programs / "pg_isready"), "-q", "-h", HOST, "-p", str(port), "-t", "2"]
    return subprocess.run(asked, check=False).returncode == 0


def kafka(port: int) -> bool:
    """Answers a request for its API versions (key 18, version 0), since its port alone opens earlier; and its
    group coordinator works."""
    speaks = _talk(port, struct.pack(">ihhih", 10, 18, 0, 7, -1), 8)[4:] == struct.pack(">i", 7)
    return speaks and kafka_groups(port) == 0


def kafka_groups(port: int, timeout_s: float = TIMEOUT_S) -> int | None:
    """Whether groups work: has an offset committed, outside of any membership. Kafka's error code, 0 when it
    was done, None when there was no answer in time.

    A broker may live, take and give messages, and refuse every group until it is started again.
    """
    found = _answer(port, 10, 2, _text(GROUP) + b"\0", timeout_s)  # asking creates the topic of offsets
    if len(found) < 6 or (refused := struct.unpack_from(">h", found, 4)[0]):
        return refused if len(found) >= 6 else None
    offset = struct.pack(">iiq", 1, 0, 0) + _text("")
    commit = _text(GROUP) + struct.pack(">i", -1) + _text("") + struct.pack(">i", 1) + _text(OFFSETS) + offset
    committed = _answer(port, 8, 5, commit, timeout_s)
    return struct.unpack_from(">h", committed, len(committed) - 2)[0] if len(committed) > 6 else None


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _answer(port: int, key: int, version: int, body: bytes, timeout_s: float) -> bytes:
    """What follows Kafka's correlation id, or nothing."""
    request = struct.pack(">hhih", key, version, 7, -1) + body
    answer = b""
    try:
        with socket.create_connection((HOST, port), timeout_s) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            stream = connection.makefile("rb")
            answer = stream.read(struct.unpack(">i", stream.read(4))[0])
    except (OSError, struct.error):
        pass
    return answer[4:]


def redis(port: int, password: str) -> bool:
    return _talk(port, f"AUTH {password}\r\nPING\r\n".encode(), 12) == b"+OK\r\n+PONG\r\n"


def touched(file: Path, within_s: float = 60.0) -> bool:
    return file.exists() and time.time() - file.stat().st_mtime < within_s


def http_ok(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _talk(port: int, request: bytes, expected: int) -> bytes:
    """The first `expected` bytes of the answer, fewer when there is none."""
    answer = b""
    try:
        with socket.create_connection((HOST, port), TIMEOUT_S) as connection:
            connection.sendall(request)
            while len(answer) < expected and (more := connection.recv(expected - len(answer))):
                answer += more
    except OSError:
        return b""
    return answer
