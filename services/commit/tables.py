"""The tables of a participant. Never edit these: a change is a new constant, used by a new migration."""

BRANCHES_1 = """
    -- One row a transaction: that a round of it has committed here, or that none up to this one ever will.
    CREATE TABLE branches (
        transaction_id uuid PRIMARY KEY,
        epoch bigint NOT NULL,
        number bigint NOT NULL,
        outcome text NOT NULL CHECK (outcome IN ('committed', 'aborted')),
        subjects uuid[] NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE precommits (
        transaction_id uuid PRIMARY KEY,
        epoch bigint NOT NULL,
        number bigint NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    );
    -- The present stretch of time through which some replica has lived without a gap.
    CREATE TABLE awake (since timestamptz NOT NULL, until timestamptz NOT NULL);
    INSERT INTO awake VALUES (now(), now());
"""

HEURISTICS_1 = """
    -- What operators have decided here in the coordinator's place. The word is XA's.
    CREATE TABLE heuristics (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        transaction_id uuid NOT NULL,
        outcome text NOT NULL CHECK (outcome IN ('committed', 'aborted')),
        reason text NOT NULL,
        decided_at timestamptz NOT NULL DEFAULT now(),
        -- How it was when that had been done. NULL: the process died before it could say.
        found text
    );
    CREATE INDEX heuristics_of ON heuristics (transaction_id);
"""
