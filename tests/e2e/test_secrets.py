"""No secret is where somebody could read it who must not: nor does anything listen to who is elsewhere."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from infra.native import Stack
from infra.native.layout import read_json
from tests.e2e.shopper import new_customer, new_product, order

LISTENING = "0A"
"""In /proc/net/tcp, a socket's state."""

LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, ::1, and the first as IPv6 has it; little-endian words."""

PATHS = (
    *("/metrics", "/openapi.json", "/docs", "/livez", "/readyz", "/no-such-path"),
    *("/transactions", "/participant/doubts", "/orders?customer_id=nobody&limit=x"),
)


@pytest.fixture(scope="module")
def secrets(native: Stack) -> dict[str, bytes]:
    found = {name: value.encode() for name, value in read_json(native.layout.credentials).items()}
    assert len(found) >= 12 and all(len(value) >= 32 for value in found.values())
    return found


def told_in(text: bytes, secrets: dict[str, bytes]) -> list[str]:
    return [name for name, value in secrets.items() if value in text]


def processes(native: Stack) -> set[int]:
    """The supervisor's, and all that descend from it."""
    pid = int((native.layout.run / "supervisord.pid").read_text())
    parents = {int(p.name): parent for p in Path("/proc").glob("[0-9]*") if (parent := parent_of(p))}
    family, more = set[int](), {pid}
    while more:
        family |= more
        more = {child for child, parent in parents.items() if parent in family} - family
    return family


def command_lines(native: Stack) -> list[bytes]:
    found: list[bytes] = []
    for pid in processes(native):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes())
    return found


def parent_of(process: Path) -> int | None:
    with suppress(FileNotFoundError, ProcessLookupError):
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    return None


def listeners(native: Stack) -> Iterator[tuple[str, int]]:
    """(address, port) as /proc has them, of every socket on which a process of the stack listens."""
    own: set[str] = set()
    for pid in processes(native):
        for file in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(FileNotFoundError, ProcessLookupError):
                own.add(os.readlink(file))
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if f"socket:[{columns[9]}]" in own and (columns[3] == LISTENING or "udp" in table):
                address, _, port = columns[1].partition(":")
                yield address, int(port, 16)


async def errors(client: httpx.AsyncClient, stack: dict[str, Any]) -> list[httpx.Response]:
    """Answers to what is wrong in every way that comes near a secret."""
    own = [f"http://127.0.0.1:{told['port']}" for told in stack["processes"].values()]
    bases = (*own, stack["public_url"], f"{stack['internal_url']}/order")
    wrong = {"Authorization": "Bearer wrong", "Idempotency-Key": "k", "Content-Type": "application/json"}
    operator = wrong | {"Authorization": f"Bearer {stack['operator_token']}"}
    participant = wrong | {"Authorization": f"Bearer {stack['participant_token']}"}
    transactions = f"{stack['internal_url']}/orchestrator/transactions"
    asked = [
        *((base + path, wrong) for base in bases for path in PATHS),
        *((transactions + path, operator) for path in ("", "?state=in-doubt")),
        (f"{stack['internal_url']}/payment/participant/doubts", participant),
    ]
    told = [
        *((base + path, wrong) for base in bases for path in ("/participant/batches", "/orders")),
        (f"{stack['internal_url']}/payment/participant/batches", participant),
    ]
    answers = [await client.get(url, headers=headers) for url, headers in asked]
    return answers + [await client.post(url, headers=headers, content="}") for url, headers in told]


async def test_no_secret_is_answered_logged_or_shown(
    shop: httpx.AsyncClient, native: Stack, stack: dict[str, Any], secrets: dict[str, bytes]
) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    answers = [await order(shop, customer, {sku: 1}, protocol=p) for p in ("saga", "2pc", "2pc-group", "3pc")]
    answers += [await order(shop, customer, {sku: 999}), await order(shop, "nobody", {sku: 1})]
    answers.append(await shop.get(f"/orders/{answers[0].json()['order_id']}/trace"))
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            stack["databases"]["order"]["owner"].replace(secrets["order-owner"].decode(), "x")
        )
    answers += await errors(shop, stack)
    assert {200, 201, 400, 401, 404, 409, 422} <= {answer.status_code for answer in answers}

    for answer in answers:
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        assert told_in(head.encode() + answer.content, secrets) == [], answer.url
    logs = [file for file in native.layout.logs.rglob("*") if file.is_file()]
    assert len(logs) > 15
    assert {file.name: found for file in logs if (found := told_in(file.read_bytes(), secrets))} == {}
    seen = command_lines(native)
    assert len(seen) > 15
    assert {text: found for text in seen if (found := told_in(text, secrets))} == {}


def test_a_file_with_a_secret_is_its_owners(native: Stack, secrets: dict[str, bytes]) -> None:
    layout = native.layout
    files = [
        *(file for folder in (layout.config, layout.run) for file in folder.rglob("*") if file.is_file()),
        *(layout.state / name for name in ("stack.json", "credentials.json")),
    ]
    holding = {file.name: file for file in files if told_in(file.read_bytes(), secrets)}
    assert {"credentials.json", "stack.json", "supervisord.conf", "redis.conf"} <= set(holding)
    modes = {name: stat.S_IMODE(file.stat().st_mode) for name, file in holding.items()}
    assert {name: oct(mode) for name, mode in modes.items() if mode != 0o600} == {}
    for folder in (layout.config, layout.logs, layout.run, *layout.postgres_data.glob("pg-*")):
        if folder.is_dir():
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    assert stat.S_IMODE(layout.socket.stat().st_mode) == 0o700


def test_everything_listens_on_loopback_only(native: Stack, stack: dict[str, Any]) -> None:
    found = list(listeners(native))
    expected = {
        stack["ports"][n] for n in ("NGINX_PUBLIC_PORT", "NGINX_INTERNAL_PORT", "REDIS_PORT", "KAFKA_PORT")
    }
    expected |= {port for name, port in stack["ports"].items() if name.startswith("POSTGRES_")}
    expected |= {told["port"] for told in stack["processes"].values()}
    assert expected <= {port for _, port in found}
    assert [(address, port) for address, port in found if address not in LOOPBACK] == []


def test_the_password_of_each_login_is_its_own(secrets: dict[str, bytes], stack: dict[str, Any]) -> None:
    assert len(set(secrets.values())) == len(secrets)
    assert told_in(json.dumps(stack).encode(), {"postgres": secrets["postgres"]}) == []
