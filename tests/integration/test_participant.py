"""A participant on real Postgres: votes, repeated, late and overtaking requests, and refusals."""

from collections.abc import AsyncIterator

import pytest

from infra.native import Stack
from services.contract.commit import Told
from services.runtime.ids import uuid7
from tests.integration.commits import Desk, buy, desk, new_stock


@pytest.fixture
async def inventory(native: Stack) -> AsyncIterator[Desk]:
    async with desk(native, "inventory") as opened:
        yield opened


async def test_what_is_prepared_is_invisible_until_it_is_committed(inventory: Desk) -> None:
    sku, transaction = await new_stock(inventory, 5), uuid7()
    assert await inventory.vote(transaction, buy({sku: 2})) == Told(vote="yes")
    assert await inventory.stock(sku) == (5, 0, 0)
    assert len(await inventory.prepared(transaction)) == 1
    assert (await inventory.say("commit", transaction)).state == "committed"
    assert await inventory.stock(sku) == (3, 0, 2)
    assert await inventory.prepared(transaction) == []
