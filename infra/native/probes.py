"""How each kind of part is asked whether it is ready. Every answer comes within about two seconds."""

import http.client
import socket
import struct
import subprocess
from pathlib import Path

TIMEOUT_S = 2.0
HOST = "127.0.0.1"


def postgres(programs: Path, port: int) -> bool:
    """Accepts connections: recovery is over."""
    asked = [str(programs / "pg_isready"), "-q", "-h", HOST, "-p", str(port), "-t", "2"]
    return subprocess.run(asked, check=False).returncode == 0


def kafka(port: int) -> bool:
    """Answers a request for its API versions (key 18, version 0): its port alone opens earlier."""
    return _talk(port, struct.pack(">ihhih", 10, 18, 0, 7, -1), 8)[4:] == struct.pack(">i", 7)


def redis(port: int, password: str) -> bool:
    return _talk(port, f"AUTH {password}\r\nPING\r\n".encode(), 12) == b"+OK\r\n+PONG\r\n"


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
