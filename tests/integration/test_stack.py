"""What `up` does to a stack that runs."""

import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx
import pytest

from infra.native import Failure, Stack

OWN_PORTS = 2500


def test_a_taken_port_leaves_the_running_stack_as_it_was(native: Stack) -> None:
    def running() -> dict[str, int]:
        return {name: state["pid"] for name, state in native.supervisor.states().items()}

    before, told = running(), native.told
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        layout = replace(native.layout, ports={**native.layout.ports, "REDIS_PORT": port})
        with pytest.raises(Failure, match=f"port {port}.*REDIS_PORT"):
            Stack(layout=layout).up()
    assert running() == before
    assert native.told == told
    native.up()
    assert running() == before


async def test_a_state_directory_deleted_by_hand_leaves_nothing_that_would_stop_the_next_stack(
    tmp_path: Path,
) -> None:
    def start() -> Stack:
        stack = Stack(tmp_path / "stack", port_offset=OWN_PORTS)
        stack.up(only="servers")
        return stack

    start().down()
    shutil.rmtree(tmp_path / "stack")
    stack = start()
    try:
        connection = await asyncpg.connect(stack.told["databases"]["order"]["audit"])
        await connection.close()
    finally:
        stack.clean()


def test_who_has_read_enough_of_the_status_is_told_of_no_error(native: Stack) -> None:
    command = [sys.executable, "-m", "infra.native", "status", "--state", str(native.layout.state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as status:
        assert status.stdout and status.stderr
        status.stdout.close()
        assert status.stderr.read() == b""
        assert status.wait(timeout=30) == 0


async def test_the_public_port_says_where_the_shop_is_documented(shop: httpx.AsyncClient) -> None:
    told = (await shop.get("/")).json()
    assert set(told["docs"]) == {"order", "payment", "inventory"}
    for url in told["docs"].values():
        assert (await shop.get(url)).status_code == 200
    assert (await shop.get(told["orders"])).status_code == 200


async def test_a_path_that_does_not_exist_is_answered_by_those_that_do(
    shop: httpx.AsyncClient, inside: httpx.AsyncClient
) -> None:
    assert "/orders" in (await shop.get("/transactions")).json()["detail"]
    assert "/orchestrator/transactions" in (await inside.get("/transactions")).json()["detail"]
