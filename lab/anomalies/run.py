"""Orders, some of which have to be refused, and beside them a reader that looks as often as it can."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import uvloop

from lab import prepare
from lab.anomalies.counts import READERS, Tally, broken
from lab.anomalies.cut import Cut, look
from lab.bench import Options, measure
from lab.databases import LOST, connected
from lab.seed import CURRENCY, catalogue_has, customer, import_rows, sku
from lab.shop import Shop
from lab.state import SERVICES, Stack, Trouble
from lab.stats import summary
from lab.workload import NOTHING, Orders, from_now_on

HOPELESS = 0.2
WAIT_S = 30
REST_S = 0.005
ENDS = "select order_id, status from orders where order_id >= $1::uuid and protocol = $2"


@dataclass(slots=True)
class Seen:
    """`failed`: looks that a database did not answer. `off`: looks at which its sums were wrong."""

    tallies: dict[str, Tally] = field(default_factory=lambda: {name: Tally(name) for name in READERS})
    seconds: list[float] = field(default_factory=list)
    off: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    def add(self, cut: Cut) -> None:
        for tally in self.tallies.values():
            tally.add(cut)
        self.seconds.append(cut.seconds)
        self.off.update(cut.off)


def anomalies(
    stack: Stack, protocol: str, orders: int, in_flight: int, seed: int, rate: float | None = None
) -> dict[str, Any]:
    """Everything that `--json` prints. With a `rate`, so many orders come a second."""
    prepare.seed_missing(stack)
    _have_nothing(stack)
    return uvloop.run(_anomalies(stack, Options(protocol, orders, in_flight, rate=rate, seed=seed)))


def _have_nothing(stack: Stack) -> None:
    """Products that are sold out, and customers without money. Must run outside of an event loop."""
    goods = [
        {"sku": sku(n + 1), "name": "Sold out", "price": 100, "currency": CURRENCY, "stock": 0}
        for n in NOTHING
    ]
    people = [{"customer_id": customer(n + 1), "currency": CURRENCY, "balance": 0} for n in NOTHING]
    with Shop(stack) as shop:
        import_rows(shop, "products", goods)
        import_rows(shop, "customers", people)
    asyncio.run(catalogue_has(stack, [str(row["sku"]) for row in goods]))


async def _anomalies(stack: Stack, options: Options) -> dict[str, Any]:
    protocol = options.protocol
    work = Orders(
        stack, protocol, options.orders, skew=0.0, wait_s=WAIT_S, seed=options.seed, hopeless=HOPELESS
    )
    await prepare.top_up(stack, work)
    since, seen, over = from_now_on(), Seen(), asyncio.Event()
    reading = asyncio.create_task(_read(stack, since, seen, over))
    try:
        load = await measure(stack, work, options)
    finally:
        over.set()
        await reading
    async with connected(stack, ["order"]) as databases:
        ends = {id: str(status) for id, status in await databases["order"].fetch(ENDS, since, protocol)}
    readers = {name: tally.result(ends) for name, tally in seen.tallies.items()}
    return {
        "protocol": protocol,
        **{name: load[name] for name in ("orders", "confirmed", "refused", "unfinished", "seconds")},
        "reads": len(seen.seconds),
        "failed_reads": seen.failed,
        "read_ms": summary([1000 * seconds for seconds in seen.seconds]),
        "sums_off": {name: seen.off[name] for name in ("payment", "inventory")},
        "readers": readers,
        "violations": broken(protocol, readers, seen.off.total()),
    }


async def _read(stack: Stack, since: UUID, seen: Seen, over: asyncio.Event) -> None:
    """Looks again and again, at rest for as long as it took, until all is over, and once more then."""
    while not over.is_set():
        try:
            async with connected(stack, SERVICES) as databases:
                while True:
                    last = over.is_set()
                    cut = await look(databases, since, len(seen.seconds))
                    seen.add(cut)
                    if last:
                        return
                    with suppress(TimeoutError):
                        await asyncio.wait_for(over.wait(), max(REST_S, cut.seconds))
        except (Trouble, *LOST):
            seen.failed += 1
            await asyncio.sleep(0.1)
