"""The inventory's SQL: stock rows are locked in the order of their skus, everywhere."""

from collections.abc import Iterable, Sequence

import asyncpg

from services.commit.literal import literal
from services.contract.messages import Line, ProductChanged
from services.inventory.model import Stock

LOCK_STOCK = """
    SELECT sku, on_hand, held, sold FROM stock WHERE sku = ANY($1::text[]) ORDER BY sku FOR UPDATE
"""
LOCK_ALL = """
    SELECT FROM stock
    WHERE sku = ANY($1::text[]) OR sku = ANY(ARRAY(SELECT sku FROM holds WHERE order_id = ANY($2::uuid[])))
    ORDER BY sku FOR UPDATE
"""
SAVE = """
    WITH hold AS (
        INSERT INTO holds (order_id, sku, quantity, state)
        SELECT o, s, q, $8 FROM unnest($5::uuid[], $6::text[], $7::int[]) AS h (o, s, q))
    UPDATE stock SET on_hand = s.on_hand, held = s.held, sold = s.sold
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS s (sku, on_hand, held, sold)
    WHERE stock.sku = s.sku
"""
SELL_ONE = """
    SELECT FROM stock WHERE sku IN ({skus}) ORDER BY sku FOR UPDATE;
    WITH line (sku, quantity) AS (VALUES {lines}),
    hold AS (
        INSERT INTO holds (order_id, sku, quantity, state)
        SELECT '{id}'::uuid, sku, quantity, 'shipped' FROM line),
    sold AS (
        UPDATE stock s SET on_hand = s.on_hand - line.quantity, sold = s.sold + line.quantity
        FROM line WHERE s.sku = line.sku RETURNING s.sku)
    SELECT 1 / (count(*) = {count})::int FROM sold
"""
MOVE_HOLDS = """
    UPDATE holds SET state = $3 WHERE order_id = ANY($1::uuid[]) AND state = $2 RETURNING sku, quantity
"""
# Sorted, so that two imports at once cannot deadlock; the parts of a large one come in order, too.
UPSERT_PRODUCTS = """
    INSERT INTO products AS p (sku, name, price, currency)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS n (sku, name, price, currency)
    ORDER BY sku
    ON CONFLICT (sku) DO UPDATE SET
        name = excluded.name, price = excluded.price, currency = excluded.currency, version = p.version + 1
    WHERE (p.name, p.price, p.currency) IS DISTINCT FROM (excluded.name, excluded.price, excluded.currency)
    RETURNING sku, name, price, currency, version
"""
OPEN_STOCK = """
    INSERT INTO stock (sku, on_hand, received)
    SELECT sku, quantity, quantity FROM unnest($1::text[], $2::bigint[]) AS n (sku, quantity) ORDER BY sku
    ON CONFLICT DO NOTHING
"""
RECEIVE = """
    UPDATE stock SET on_hand = on_hand + $2, received = received + $2 WHERE sku = $1
    RETURNING sku, on_hand, held, sold, received
"""
PRODUCTS = """
    SELECT p.sku, p.name, p.price, p.currency, s.on_hand, s.held, s.sold, s.received
    FROM products p JOIN stock s USING (sku)
"""
SOME = f"{PRODUCTS} WHERE sku = ANY($1::text[])"
PAGE = f"{PRODUCTS} WHERE sku > $1 ORDER BY sku LIMIT $2"


async def lock_all(sql: asyncpg.Connection, skus: Iterable[str], order_ids: Sequence[str]) -> None:
    """Locks the stock of these products and of all that is held for these orders."""
    await sql.execute(LOCK_ALL, list(skus), order_ids)


async def lock_stock(sql: asyncpg.Connection, skus: Iterable[str]) -> dict[str, Stock]:
    return {row["sku"]: Stock(*row.values()) for row in await sql.fetch(LOCK_STOCK, list(skus))}


async def save(
    sql: asyncpg.Connection,
    shelf: Iterable[Stock],
    holds: Sequence[tuple[str, Line]] = (),
    state: str = "held",
) -> None:
    """Writes back stock rows that were locked, and new holds in this state, (order id, line) each."""
    rows = list(shelf)
    await sql.execute(
        SAVE,
        [r.sku for r in rows],
        [r.on_hand for r in rows],
        [r.held for r in rows],
        [r.sold for r in rows],
        [order_id for order_id, _ in holds],
        [line.sku for _, line in holds],
        [line.quantity for _, line in holds],
        state,
    )


def sell_script(order_id: str, lines: Sequence[Line]) -> str:
    """Holds and ships an order in one step; fails without a product, or with too little of it."""
    return SELL_ONE.format(
        id=order_id,
        skus=", ".join(literal(line.sku) for line in lines),
        lines=", ".join(f"({literal(line.sku)}, {line.quantity})" for line in lines),
        count=len(lines),
    )


async def move_holds(
    sql: asyncpg.Connection, order_ids: Sequence[str], old: str, new: str
) -> list[tuple[str, int]]:
    """Moves whole orders from one state to the next; returns what was moved, (sku, quantity) each."""
    return [(row["sku"], row["quantity"]) for row in await sql.fetch(MOVE_HOLDS, order_ids, old, new)]


async def upsert_products(
    sql: asyncpg.Connection, rows: Sequence[tuple[str, str, int, str, int]]
) -> list[ProductChanged]:
    """(sku, name, price, currency, stock) each; returns what is new or changed.

    The stock of a product that exists already is left alone.
    """
    skus = [row[0] for row in rows]
    changed = await sql.fetch(
        UPSERT_PRODUCTS, skus, [row[1] for row in rows], [row[2] for row in rows], [row[3] for row in rows]
    )
    await sql.execute(OPEN_STOCK, skus, [row[4] for row in rows])
    return [ProductChanged(*row.values()) for row in changed]
