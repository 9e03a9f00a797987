"""The tables of the plumbing, as the first migration of each service creates them.

Never edit these: a later change is a new constant, used by a new migration.
"""

OUTBOX_1 = """
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        owner text NOT NULL,
        messages bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        -- When its owner took it: its writer at once, whoever adopted it later.
        taken_at timestamptz NOT NULL DEFAULT now()
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
"""
INBOX_1 = """
    CREATE TABLE inbox (
        subject uuid NOT NULL,
        step text NOT NULL,
        outcome text NOT NULL CHECK (outcome IN ('done', 'refused')),
        reason text NOT NULL DEFAULT '',
        detail text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (subject, step)
    );
"""
DEAD_LETTERS_1 = """
    CREATE TABLE dead_letters (
        topic text NOT NULL,
        "partition" integer NOT NULL,
        "offset" bigint NOT NULL,
        reason text NOT NULL,
        key text NOT NULL,
        payload bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (topic, "partition", "offset")
    );
"""
FENCES_1 = """
    CREATE TABLE fences (
        name text PRIMARY KEY,
        number bigint NOT NULL CHECK (number > 0)
    ) WITH (fillfactor = 20);
"""
IDEMPOTENCY_1 = """
    CREATE TABLE idempotency (
        id uuid PRIMARY KEY,
        fingerprint bytea NOT NULL,
        subject uuid,
        status smallint,
        body text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    ) WITH (fillfactor = 70);
    CREATE INDEX idempotency_by_age ON idempotency USING brin (created_at) WITH (autosummarize = on);
"""
