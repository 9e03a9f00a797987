"""A stack whose processes can be told to die, to wait and to lose messages."""

import asyncio
from collections.abc import Iterator

import pytest

from infra.native import Stack
from lab.faults import Faults
from lab.seed import seed
from lab.state import Stack as Told
from lab.workload import CUSTOMERS, PRODUCTS


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


@pytest.fixture(scope="module")
async def seeded(told: Told) -> None:
    """Enough goods and customers for a steady load."""
    await asyncio.to_thread(seed, told, PRODUCTS, CUSTOMERS, 10**6, 10**9, 100)
