"""The inventory's part in a commit: the goods of orders leave the house, or come back, in one step."""

from collections.abc import Sequence

import asyncpg

from services.contract.commit import Refused, Work
from services.contract.messages import Line
from services.inventory import model, store


async def work(sql: asyncpg.Connection, works: Sequence[Work]) -> Sequence[Refused]:
    """First come, first served; all stock is locked in one ordered read."""
    bought = [work for work in works if work.kind == "buy"]
    cancelled = [work.order_id for work in works if work.kind == "cancel"]
    if bought and cancelled:
        await store.lock_all(sql, {line.sku for work in bought for line in work.lines}, cancelled)
    refusals = await _sell(sql, bought) if bought else []
    if cancelled and not refusals:
        await _restock(sql, cancelled)
    return refusals


def script(work: Work) -> str:
    """Fails when there is not enough."""
    return store.sell_script(work.order_id, work.lines)


async def _sell(sql: asyncpg.Connection, works: Sequence[Work]) -> list[Refused]:
    shelf = await store.lock_stock(sql, {line.sku for work in works for line in work.lines})
    refusals: list[Refused] = []
    sold: list[tuple[str, Line]] = []
    for work in works:
        match model.sell(shelf, work.lines):
            case model.Refused(reason, detail):
                refusals.append(Refused(work.order_id, reason, detail))
            case after:
                shelf |= after
                sold += [(work.order_id, line) for line in work.lines]
    if not refusals:  # or all of it is rolled back
        await store.save(sql, shelf.values(), sold, "shipped")
    return refusals


async def _restock(sql: asyncpg.Connection, order_ids: Sequence[str]) -> None:
    moved = await store.move_holds(sql, order_ids, "shipped", "restocked")
    shelf = await store.lock_stock(sql, {sku for sku, _ in moved})
    for sku, quantity in moved:
        shelf[sku] = model.restock(shelf[sku], quantity)
    await store.save(sql, shelf.values())
