"""Products, their stock, and what is held for orders."""

from services.runtime import tables
from services.runtime.migrate import execute

revision = "0001"
down_revision = None


def upgrade() -> None:
    execute("""
        CREATE TABLE products (
            sku text PRIMARY KEY,
            name text NOT NULL,
            price bigint NOT NULL CHECK (price >= 0),
            currency text NOT NULL,
            version bigint NOT NULL DEFAULT 1
        );
        CREATE TABLE stock (
            sku text PRIMARY KEY,
            on_hand bigint NOT NULL CHECK (on_hand >= 0),
            held bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
            sold bigint NOT NULL DEFAULT 0 CHECK (sold >= 0),
            received bigint NOT NULL,
            CHECK (on_hand + held + sold = received)
        ) WITH (fillfactor = 30);
        CREATE TABLE holds (
            order_id uuid NOT NULL,
            sku text NOT NULL,
            quantity integer NOT NULL CHECK (quantity > 0),
            state text NOT NULL CHECK (state IN ('held', 'shipped', 'released', 'restocked')),
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (order_id, sku)
        ) WITH (fillfactor = 70);
    """)
    for table in (
        tables.OUTBOX_1,
        tables.INBOX_1,
        tables.DEAD_LETTERS_1,
        tables.FENCES_1,
        tables.IDEMPOTENCY_1,
    ):
        execute(table)
