"""The saga log."""

from services.runtime import tables
from services.runtime.migrate import execute

revision = "0001"
down_revision = None


def upgrade() -> None:
    execute("""
        CREATE TABLE sagas (
            order_id uuid NOT NULL,
            kind text NOT NULL,
            shard smallint NOT NULL,
            -- The fencing number of the owner that wrote last.
            epoch bigint NOT NULL,
            running boolean NOT NULL,
            state text NOT NULL,
            payload bytea NOT NULL,
            traceparent text NOT NULL,
            -- What the saga has seen, a JSON line an event: its journal is computed from this.
            log text NOT NULL,
            keep_log boolean NOT NULL,
            wake_at timestamptz,
            wake_for text NOT NULL,
            started_at timestamptz NOT NULL DEFAULT now(),
            ended_at timestamptz,
            outcome text CHECK (outcome IN ('completed', 'compensated')),
            PRIMARY KEY (order_id, kind),
            CHECK (running = (ended_at IS NULL)),
            CHECK (running = (outcome IS NULL))
        ) WITH (fillfactor = 40);
        CREATE INDEX sagas_running ON sagas (shard, wake_at) WHERE running;
    """)
    for table in (tables.OUTBOX_1, tables.DEAD_LETTERS_1, tables.FENCES_1):
        execute(table)
