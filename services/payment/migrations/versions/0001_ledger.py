"""Accounts and a double-entry ledger."""

from services.runtime import tables
from services.runtime.migrate import execute

revision = "0001"
down_revision = None


def upgrade() -> None:
    execute("""
        CREATE TABLE accounts (
            account_id text PRIMARY KEY,
            kind text NOT NULL CHECK (kind IN ('customer', 'system')),
            currency text NOT NULL,
            -- On the account's normal side: what a customer has, what the bank holds for us.
            balance bigint NOT NULL DEFAULT 0 CHECK (balance >= 0),
            created_at timestamptz NOT NULL DEFAULT now()
        ) WITH (fillfactor = 50);
        CREATE TABLE transfers (
            transfer_id uuid NOT NULL,
            kind text NOT NULL CHECK (kind IN ('deposit', 'charge', 'refund')),
            amount bigint NOT NULL CHECK (amount > 0 OR kind <> 'deposit'),
            created_at timestamptz NOT NULL DEFAULT now(),
            -- An order's transfers bear its id: one charge and one refund are all it can ever have.
            PRIMARY KEY (transfer_id, kind)
        );
        CREATE TABLE entries (
            transfer_id uuid NOT NULL,
            kind text NOT NULL,
            account_id text NOT NULL,
            amount bigint NOT NULL,
            PRIMARY KEY (transfer_id, kind, account_id)
        );
    """)
    for table in (
        tables.OUTBOX_1,
        tables.INBOX_1,
        tables.DEAD_LETTERS_1,
        tables.FENCES_1,
        tables.IDEMPOTENCY_1,
    ):
        execute(table)
