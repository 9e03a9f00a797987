"""The order service's SQL. A batch of orders costs as many statements as one order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from services.contract.messages import Line, ProductChanged
from services.order.model import Listed
from services.runtime.outbox import Transaction

LISTED = "SELECT sku, price, currency FROM catalogue WHERE sku = ANY($1::text[])"

INSERT = """
    INSERT INTO orders (
        order_id, customer_id, protocol, amount, currency, request_id, reason, detail, status, ended_at)
    SELECT o.*,
        CASE WHEN o.reason IS NULL THEN 'PENDING' ELSE 'REFUSED' END,
        CASE WHEN o.reason IS NOT NULL THEN now() END
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::uuid[], $7::text[],
                $8::text[])
        AS o (order_id, customer_id, protocol, amount, currency, request_id, reason, detail)
"""
INSERT_LINES = """
    INSERT INTO order_lines (order_id, sku, quantity, price)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[])
"""

# An order's times stay in their order, also when the clock is put back (`greatest`).
#
# The answer to a confirmed order was written beside its key when the order was placed; it becomes true here.
CONFIRM = """
    WITH ended AS (
        UPDATE orders SET status = 'CONFIRMED', ended_at = greatest(now(), created_at)
        WHERE order_id = ANY($1::uuid[]) AND status = 'PENDING' RETURNING request_id)
    UPDATE idempotency i SET status = 201 FROM ended
    WHERE i.id = ended.request_id AND i.status IS NULL
    RETURNING i.id::text, i.fingerprint, i.subject::text, i.status, i.body
"""
# The same, for all the orders of a transaction that may be rolled back: which of them were PENDING?
CONFIRM_ALL = """
    WITH ended AS (
        UPDATE orders SET status = 'CONFIRMED', ended_at = greatest(now(), created_at)
        WHERE order_id = ANY($1::uuid[]) AND status = 'PENDING' RETURNING order_id, request_id),
    answered AS (
        UPDATE idempotency i SET status = 201 FROM ended WHERE i.id = ended.request_id AND i.status IS NULL)
    SELECT order_id::text FROM ended
"""
# The same for one order in the text of a script, which fails when it was not PENDING.
CONFIRM_ONE = """
    WITH ended AS (
        UPDATE orders SET status = 'CONFIRMED', ended_at = greatest(now(), created_at)
        WHERE order_id = '{id}' AND status = 'PENDING' RETURNING request_id),
    answered AS (
        UPDATE idempotency i SET status = 201 FROM ended WHERE i.id = ended.request_id AND i.status IS NULL)
    SELECT 1 / count(*) FROM ended
"""
ANSWERED = """
    SELECT i.id::text, i.fingerprint, i.subject::text, i.status, i.body
    FROM branches b JOIN orders o ON o.order_id = ANY(b.subjects) JOIN idempotency i ON i.id = o.request_id
    WHERE b.transaction_id = ANY($1::uuid[]) AND i.status = 201
"""
REJECT = """
    WITH ended AS (
        UPDATE orders o SET
            status = 'REFUSED', ended_at = greatest(now(), created_at), reason = r.reason, detail = r.detail
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS r (order_id, reason, detail, body)
        WHERE o.order_id = r.order_id AND o.status = 'PENDING' RETURNING o.request_id, r.body)
    UPDATE idempotency i SET status = 409, body = ended.body FROM ended
    WHERE i.id = ended.request_id AND i.status IS NULL
    RETURNING i.id::text, i.fingerprint, i.subject::text, i.status, i.body
"""
STAYED = """
    SELECT order_id::text FROM orders
    WHERE order_id = ANY($1::uuid[]) AND status IN ('CONFIRMED', 'CANCELLING', 'CANCELLED')
"""
# A row that somebody has locked gets its outcome right now, or is prepared, and then for who knows how long.
ANSWER_ACCEPTED = """
    WITH free AS (
        SELECT id FROM idempotency WHERE id = ANY($1::uuid[]) AND status IS NULL
        ORDER BY id FOR UPDATE SKIP LOCKED)
    UPDATE idempotency i SET status = 202, body = a.body
    FROM free JOIN unnest($1::uuid[], $2::text[]) AS a (id, body) USING (id) WHERE i.id = free.id
"""
REQUEST_CANCEL = """
    UPDATE orders SET status = 'CANCELLING', cancel_requested_at = greatest(now(), ended_at)
    WHERE order_id = $1::uuid AND status = 'CONFIRMED' RETURNING order_id
"""
CLOSE_CANCELLED = """
    UPDATE orders SET status = 'CANCELLED', cancelled_at = greatest(now(), cancel_requested_at)
    WHERE order_id = ANY($1::uuid[]) AND status = 'CANCELLING' RETURNING order_id::text
"""
COLUMNS = """
    o.order_id::text, o.customer_id, o.protocol, o.status, o.reason, o.detail, o.amount, o.currency,
    o.created_at, o.ended_at, o.cancel_requested_at, o.cancelled_at,
    (SELECT json_agg(json_build_object('sku', l.sku, 'quantity', l.quantity, 'price', l.price) ORDER BY l.sku)
     FROM order_lines l WHERE l.order_id = o.order_id)::text AS items
"""
ONE = f"SELECT {COLUMNS} FROM orders o WHERE order_id = $1::uuid"
OF_CUSTOMER = f"""
    SELECT {COLUMNS} FROM orders o
    WHERE customer_id = $1 AND ($2::uuid IS NULL OR order_id < $2::uuid) ORDER BY order_id DESC LIMIT $3
"""
# Whatever is on record of these, anywhere, is still needed.
UNENDED = """
    SELECT order_id AS id FROM (
        (SELECT order_id FROM orders WHERE status = 'PENDING' AND order_id >= $1::uuid
         ORDER BY order_id LIMIT $2)
        UNION ALL
        (SELECT order_id FROM orders WHERE status = 'CANCELLING' AND order_id >= $1::uuid
         ORDER BY order_id LIMIT $2)) o
    ORDER BY order_id LIMIT $2
"""
# A scalar, which is looked up for each row: as a join it might be planned to read all orders.
KEY_NEEDED = """
    coalesce((SELECT o.status FROM orders o WHERE o.order_id = t.subject), '') IN ('PENDING', 'CANCELLING')
"""
LIST = """
    INSERT INTO catalogue (sku, name, price, currency, version)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[])
    ON CONFLICT (sku) DO UPDATE SET
        name = excluded.name, price = excluded.price, currency = excluded.currency, version = excluded.version
    WHERE catalogue.version < excluded.version
"""


@dataclass(frozen=True, slots=True)
class NewOrder:
    """`reason` None: to be run; otherwise refused from the start."""

    order_id: str
    customer_id: str
    protocol: str
    amount: int
    currency: str
    request_id: str
    lines: tuple[Line, ...]
    reason: str | None = None
    detail: str | None = None


async def listed(sql: asyncpg.Connection, skus: Iterable[str]) -> dict[str, Listed]:
    rows = await sql.fetch(LISTED, list(skus))
    return {row["sku"]: Listed(row["price"], row["currency"]) for row in rows}


def insert(tx: Transaction, orders: Sequence[NewOrder]) -> None:
    """Writes new orders with their lines at the commit."""
    lines = [(order.order_id, line) for order in orders for line in order.lines]
    tx.write(
        INSERT,
        [o.order_id for o in orders],
        [o.customer_id for o in orders],
        [o.protocol for o in orders],
        [o.amount for o in orders],
        [o.currency for o in orders],
        [o.request_id for o in orders],
        [o.reason for o in orders],
        [o.detail for o in orders],
    )
    tx.write(
        INSERT_LINES,
        [order_id for order_id, _ in lines],
        [line.sku for _, line in lines],
        [line.quantity for _, line in lines],
        [line.price for _, line in lines],
    )


async def update_catalogue(sql: asyncpg.Connection, entries: Mapping[str, ProductChanged]) -> None:
    """Keeps the highest version of each product; what comes late or twice changes nothing."""
    rows = [entries[sku] for sku in sorted(entries)]  # in one order everywhere: no deadlock
    await sql.execute(
        LIST,
        [r.sku for r in rows],
        [r.name for r in rows],
        [r.price for r in rows],
        [r.currency for r in rows],
        [r.version for r in rows],
    )
