"""A real stack for the tests that need one: its own ports and folder, so that a running demo is not met."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import hypothesis.internal.conjecture.providers  # noqa: F401 - too deep a stack later, for CPython 3.11
import pytest

from infra.native import Stack
from lab.faults import Faults
from lab.state import Stack as Told
from lab.state import parse

PORT_OFFSET = int(os.environ.get("TEST_PORT_OFFSET", "1000"))


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The running stack, to be broken. TEST_STATE=DIR uses the one there, and leaves it running."""
    if kept := os.environ.get("TEST_STATE"):
        stack = Stack(Path(kept), port_offset=PORT_OFFSET)
    else:
        stack = Stack(tmp_path_factory.mktemp("stack"), port_offset=PORT_OFFSET)
    try:
        stack.up()
        yield stack
    finally:
        if not kept:
            stack.clean()


@pytest.fixture(scope="session")
def stack(native: Stack) -> dict[str, Any]:
    """What stack.json tells."""
    return native.told


@pytest.fixture(scope="session")
def told(stack: dict[str, Any]) -> Told:
    return parse(stack)


@pytest.fixture
async def shop(stack: dict[str, Any]) -> Any:
    """A customer's way in: nginx's public port."""
    async with httpx.AsyncClient(base_url=stack["public_url"], timeout=40, trust_env=False) as client:
        yield client


@pytest.fixture
async def inside(stack: dict[str, Any]) -> Any:
    """An operator's way in."""
    headers = {"Authorization": f"Bearer {stack['operator_token']}"}
    async with httpx.AsyncClient(
        base_url=stack["internal_url"], headers=headers, timeout=40, trust_env=False
    ) as client:
        yield client


@pytest.fixture(scope="module")
def chaotic(native: Stack) -> Iterator[Stack]:
    """Only for as long as a module of these tests runs: all others see what a customer sees."""
    stack = Stack(layout=native.layout, environment={"CHAOS": "1"})
    stack.up()
    yield stack
    native.up()


@pytest.fixture
def faults(chaotic: Stack, told: Told) -> Iterator[Faults]:
    with Faults(told) as found:
        yield found
