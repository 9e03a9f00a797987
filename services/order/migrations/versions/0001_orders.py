"""Orders, their lines, and the read copy of the catalogue."""

from services.runtime import tables
from services.runtime.migrate import execute

revision = "0001"
down_revision = None

TABLES = """
    CREATE TABLE orders (
        order_id uuid PRIMARY KEY,
        customer_id text NOT NULL,
        protocol text NOT NULL,
        status text NOT NULL
            CHECK (status IN ('PENDING', 'CONFIRMED', 'REFUSED', 'CANCELLING', 'CANCELLED')),
        reason text,
        detail text,
        amount bigint NOT NULL CHECK (amount >= 0),
        currency text NOT NULL,
        request_id uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        ended_at timestamptz,
        cancel_requested_at timestamptz,
        cancelled_at timestamptz,
        CHECK ((status = 'PENDING') = (ended_at IS NULL)),
        CHECK ((status = 'REFUSED') = (reason IS NOT NULL)),
        CHECK ((status IN ('CANCELLING', 'CANCELLED')) = (cancel_requested_at IS NOT NULL)),
        CHECK ((status = 'CANCELLED') = (cancelled_at IS NOT NULL))
    ) WITH (fillfactor = 70);
    CREATE INDEX orders_by_customer ON orders (customer_id, order_id);
    CREATE TABLE order_lines (
        order_id uuid NOT NULL,
        sku text NOT NULL,
        quantity integer NOT NULL CHECK (quantity > 0),
        price bigint NOT NULL CHECK (price >= 0),
        PRIMARY KEY (order_id, sku)
    );
    CREATE TABLE catalogue (
        sku text PRIMARY KEY,
        name text NOT NULL,
        price bigint NOT NULL CHECK (price >= 0),
        currency text NOT NULL,
        version bigint NOT NULL
    );
"""


def upgrade() -> None:
    execute(TABLES)
    for table in (
        tables.OUTBOX_1,
        tables.INBOX_1,
        tables.DEAD_LETTERS_1,
        tables.FENCES_1,
        tables.IDEMPOTENCY_1,
    ):
        execute(table)
