"""What storms need."""

import asyncio

import pytest

from lab.seed import seed
from lab.state import Stack as Told
from lab.workload import CUSTOMERS, PRODUCTS


@pytest.fixture(scope="module")
async def seeded(told: Told) -> None:
    """Enough goods and customers for a steady load."""
    await asyncio.to_thread(seed, told, PRODUCTS, CUSTOMERS, 10**6, 10**9, 100)
