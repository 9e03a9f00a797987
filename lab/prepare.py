"""Before a benchmark: goods, money and statistics, so that the protocol is measured and nothing else."""

from collections import Counter
from collections.abc import Mapping

import msgspec
import uvloop

from lab.client import Load
from lab.databases import connected
from lab.screen import progress
from lab.seed import customer, seed, sku
from lab.shop import fresh_key
from lab.state import SERVICES, Stack, Trouble
from lab.workload import CUSTOMERS, PRODUCTS, Orders, accepted, address, post

STOCK = 1_000_000
BALANCE = 1_000_000_00
SPARE = 10  # what is topped up lasts for so many runs
LARGEST_RESTOCK, LARGEST_DEPOSIT = 10**9, 10**12
TOP_UP_IN_FLIGHT = 32


async def missing(stack: Stack) -> bool:
    """Whether any seeded name that the orders may use is not in the shop."""
    skus, people = [sku(n + 1) for n in range(PRODUCTS)], [customer(n + 1) for n in range(CUSTOMERS)]
    async with connected(stack, ["inventory", "payment", "order"]) as databases:
        queries = (
            ("inventory", "select count(*) from stock where sku = any($1)", skus),
            ("order", "select count(*) from catalogue where sku = any($1)", skus),
            ("payment", "select count(*) from accounts where account_id = any($1)", people),
        )
        return any(
            [await databases[name].fetchval(query, names) < len(names) for name, query, names in queries]
        )


def seed_missing(stack: Stack) -> None:
    """Must run outside of an event loop."""
    if uvloop.run(missing(stack)):
        seed_all(stack)


def seed_all(stack: Stack) -> None:
    """Must run outside of an event loop."""
    seed(stack, PRODUCTS, CUSTOMERS, STOCK, BALANCE, None)


async def top_up(stack: Stack, orders: Orders) -> None:
    """Restocks and deposits what these orders would find short: a refusal is not what is measured."""
    pieces = orders.pieces()
    async with connected(stack, ["inventory", "payment"]) as databases:
        goods = (
            "select s.sku, s.on_hand, p.price from stock s join products p using (sku) where sku = any($1)"
        )
        shelf = await databases["inventory"].fetch(goods, list(pieces))
        spending = orders.spending({row["sku"]: row["price"] for row in shelf})
        people = "select account_id, balance from accounts where account_id = any($1)"
        purses = await databases["payment"].fetch(people, list(spending))
    on_hand = {row["sku"]: row["on_hand"] for row in shelf}
    balances = {row["account_id"]: row["balance"] for row in purses}
    await _send(
        stack, "restocking", "/products/{}/restock", "quantity", _short(pieces, on_hand), LARGEST_RESTOCK
    )
    await _send(
        stack, "depositing", "/customers/{}/deposit", "amount", _short(spending, balances), LARGEST_DEPOSIT
    )


def _short(wanted: Counter[str], there: Mapping[str, int]) -> dict[str, int]:
    return {name: SPARE * count for name, count in wanted.items() if there.get(name, 0) < count}


async def _send(
    stack: Stack, title: str, path: str, field: str, amounts: Mapping[str, int], largest: int
) -> None:
    if not amounts:
        return
    requests = [
        post(
            stack,
            path.format(name),
            msgspec.json.encode({field: min(amount, largest)}),
            f'Idempotency-Key: "{fresh_key("top-up")}"\r\n',
        )
        for name, amount in amounts.items()
    ]
    load = Load(*address(stack), len(requests), lambda n: requests[n], accepted(), TOP_UP_IN_FLIGHT)
    with progress(title, len(requests)) as advance:
        await load.closed(TOP_UP_IN_FLIGHT, advance)
    if failed := len(requests) - len(load.latencies_ms()):
        raise Trouble(f"{failed} of {len(requests)} requests failed while {title}: see make logs")


async def analyze(stack: Stack) -> None:
    """Tables that have just been filled have statistics of empty ones, and plans to match."""
    async with connected(stack, SERVICES, "owner") as owners:
        for connection in owners.values():
            await connection.execute("analyze")
