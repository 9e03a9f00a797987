"""Many want the same few pieces at once, by every protocol."""

from collections import Counter
from functools import partial
from uuid import uuid4

import httpx
import msgspec
import pytest

from lab.client import Answer, Load, Verdict
from lab.state import Stack as Told
from lab.workload import address, post
from tests.e2e.shopper import eventually, new_customer, new_product, stock_of

BUYERS, PIECES, PURSES = 1_000, 100, 20


@pytest.mark.parametrize("protocol", ["saga", "2pc", "2pc-group", "3pc"])
async def test_a_thousand_buyers_share_a_hundred_pieces_exactly(
    shop: httpx.AsyncClient, told: Told, protocol: str
) -> None:
    """All at once, by the client of the benchmarks: another would need longer than the shop."""
    sku = await new_product(shop, stock=PIECES, price=1)
    customers = [await new_customer(shop) for _ in range(PURSES)]
    seen: Counter[tuple[int, str]] = Counter()

    def request(buyer: int) -> bytes:
        asked = {
            "customer_id": customers[buyer % PURSES],
            "items": [{"sku": sku, "quantity": 1}],
            "protocol": protocol,
        }
        headers = f'Prefer: wait=60\r\nIdempotency-Key: "{uuid4()}"\r\n'
        return post(told, "/orders", msgspec.json.encode(asked), headers)

    def judge(_: int, answer: Answer) -> Verdict:
        body = msgspec.json.decode(answer.body)
        seen[answer.status, body.get("type", "")] += 1
        return Verdict.CONFIRMED if answer.status == 201 else Verdict.REFUSED

    await Load(*address(told), BUYERS, request, judge, BUYERS).closed(BUYERS)
    assert seen == {(201, ""): PIECES, (409, "/problems/out-of-stock"): BUYERS - PIECES}
    await eventually(partial(stock_of, shop, sku), (0, 0, PIECES))
