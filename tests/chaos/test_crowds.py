"""Many want the same few pieces, by every protocol."""

import asyncio
from functools import partial

import httpx
import pytest

from tests.e2e.shopper import eventually, new_customer, new_product, order, stock_of


@pytest.mark.timeout(180)
@pytest.mark.parametrize("protocol", ["saga", "2pc", "2pc-group", "3pc"])
async def test_a_thousand_buyers_share_a_hundred_pieces_exactly(
    shop: httpx.AsyncClient, protocol: str
) -> None:
    sku = await new_product(shop, stock=100, price=1)
    customers = [await new_customer(shop) for _ in range(20)]
    buyers = [order(shop, customers[n % 20], {sku: 1}, protocol=protocol, wait=60) for n in range(1000)]
    answers = await asyncio.gather(*buyers)
    assert sorted(answer.status_code for answer in answers) == [201] * 100 + [409] * 900
    assert {a.json()["type"] for a in answers if a.status_code == 409} == {"/problems/out-of-stock"}
    await eventually(partial(stock_of, shop, sku), (0, 0, 100))
