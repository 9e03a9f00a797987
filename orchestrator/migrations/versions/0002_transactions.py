"""The log of two- and three-phase commit."""

from services.runtime.migrate import execute

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    execute("""
        CREATE TABLE transactions (
            transaction_id uuid PRIMARY KEY,
            protocol text NOT NULL,
            shard smallint NOT NULL,
            -- The fencing number of the owner that wrote last.
            epoch bigint NOT NULL,
            running boolean NOT NULL,
            -- As it was last forced: before the decision, at the decision, and at the end.
            state text NOT NULL,
            works bytea NOT NULL,
            traceparent text NOT NULL,
            log text NOT NULL,
            started_at timestamptz NOT NULL,
            ended_at timestamptz,
            outcome text CHECK (outcome IN ('committed', 'aborted')),
            -- An operator does not want to wait: the owner looks for these.
            nudged boolean NOT NULL DEFAULT false,
            CHECK (running = (ended_at IS NULL)),
            CHECK (running = (outcome IS NULL))
        ) WITH (fillfactor = 40);
        CREATE INDEX transactions_running ON transactions (shard, transaction_id) WHERE running;

        -- Which transaction runs an order. The key makes a start that is repeated no second start.
        CREATE TABLE transaction_orders (
            order_id uuid NOT NULL,
            kind text NOT NULL,
            transaction_id uuid NOT NULL,
            PRIMARY KEY (order_id, kind)
        );
        CREATE INDEX transaction_orders_of ON transaction_orders (transaction_id);
    """)
