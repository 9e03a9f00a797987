"""The payment service's SQL: accounts are locked in the order of their ids, everywhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from services.commit.literal import literal
from services.payment.model import Account, Entry, refund_entries

LOCK_ACCOUNTS = """
    SELECT account_id, currency, balance FROM accounts
    WHERE account_id = ANY($1::text[]) AND kind = 'customer' ORDER BY account_id FOR UPDATE
"""
LOCK_ALL = """
    SELECT FROM accounts
    WHERE kind = 'customer' AND (account_id = ANY($1::text[]) OR account_id = ANY(ARRAY(
        SELECT account_id FROM entries WHERE transfer_id = ANY($2::uuid[]) AND kind = 'charge')))
    ORDER BY account_id FOR UPDATE
"""
POST = """
    WITH transfer AS (
        INSERT INTO transfers (transfer_id, kind, amount)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[])),
    entry AS (
        INSERT INTO entries (transfer_id, kind, account_id, amount)
        SELECT * FROM unnest($4::uuid[], $5::text[], $6::text[], $7::bigint[]))
    UPDATE accounts a SET balance = a.balance + moved.amount
    FROM unnest($8::text[], $9::bigint[]) AS moved (account_id, amount) WHERE a.account_id = moved.account_id
"""
CHARGE_ONE = """
    WITH transfer AS (
        INSERT INTO transfers (transfer_id, kind, amount) VALUES ('{id}', 'charge', {amount})),
    entry AS (
        INSERT INTO entries (transfer_id, kind, account_id, amount) VALUES {entries}),
    charged AS (
        UPDATE accounts SET balance = balance - {amount}
        WHERE account_id = {customer} AND kind = 'customer' AND currency = {currency} RETURNING account_id)
    SELECT 1 / count(*) FROM charged
"""
OPEN_SYSTEM = """
    INSERT INTO accounts (account_id, kind, currency, balance)
    SELECT prefix || ':' || currency, 'system', currency, NULL
    FROM unnest($1::text[]) AS currency, unnest(ARRAY['bank', 'revenue']) AS prefix
    ORDER BY 1 ON CONFLICT DO NOTHING
"""
OPEN_CUSTOMERS = """
    INSERT INTO accounts (account_id, kind, currency)
    SELECT id, 'customer', currency FROM unnest($1::text[], $2::text[]) AS c (id, currency) ORDER BY id
    ON CONFLICT DO NOTHING RETURNING account_id
"""
CHARGED = """
    SELECT t.transfer_id::text AS order_id, e.account_id, a.currency, t.amount
    FROM transfers t JOIN entries e USING (transfer_id, kind) JOIN accounts a USING (account_id)
    WHERE t.transfer_id = ANY($1::uuid[]) AND t.kind = 'charge' AND a.kind = 'customer'
    ORDER BY e.account_id
"""
ONE = "SELECT account_id, currency, balance FROM accounts WHERE account_id = $1 AND kind = 'customer'"
PAGE = """
    SELECT account_id, currency, balance FROM accounts
    WHERE account_id > $1 AND kind = 'customer' ORDER BY account_id LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class Transfer:
    """`kind` is deposit, charge or refund; `amount` in minor units, never negative."""

    transfer_id: str
    kind: str
    amount: int
    entries: tuple[Entry, Entry]


async def lock_all(sql: asyncpg.Connection, ids: Iterable[str], order_ids: Sequence[str]) -> None:
    """Locks these customers' accounts, and those that were charged for these orders."""
    await sql.execute(LOCK_ALL, list(ids), order_ids)


async def lock_accounts(sql: asyncpg.Connection, ids: Iterable[str]) -> dict[str, Account]:
    return {row["account_id"]: Account(*row.values()) for row in await sql.fetch(LOCK_ACCOUNTS, list(ids))}


async def post(sql: asyncpg.Connection, transfers: Sequence[Transfer]) -> None:
    """Books transfers. The customers' accounts are locked already; raises CheckViolationError below zero.

    Of the bank and the revenue only the entries are written: a balance would be locked by every transfer.
    """
    if not transfers:
        return
    entries = [(transfer, entry) for transfer in transfers for entry in transfer.entries]
    moved: dict[str, int] = {}
    for _, entry in entries:
        if ":" not in entry.account_id:
            moved[entry.account_id] = moved.get(entry.account_id, 0) + entry.amount
    await sql.execute(
        POST,
        [t.transfer_id for t in transfers],
        [t.kind for t in transfers],
        [t.amount for t in transfers],
        [t.transfer_id for t, _ in entries],
        [t.kind for t, _ in entries],
        [e.account_id for _, e in entries],
        [e.amount for _, e in entries],
        list(moved),
        list(moved.values()),
    )


def charge_script(charge: Transfer, currency: str) -> str:
    """Posts a charge; fails without an account in this currency, or with too little in it."""
    return CHARGE_ONE.format(
        id=charge.transfer_id,
        amount=charge.amount,
        customer=literal(charge.entries[0].account_id),
        currency=literal(currency),
        entries=", ".join(
            f"('{charge.transfer_id}', 'charge', {literal(entry.account_id)}, {entry.amount})"
            for entry in charge.entries
        ),
    )


async def refund(sql: asyncpg.Connection, order_ids: Sequence[str]) -> None:
    """Gives back exactly what was charged for these orders; for nothing charged, nothing."""
    charged = await sql.fetch(CHARGED, order_ids)
    await lock_accounts(sql, {row["account_id"] for row in charged})
    transfers = [
        Transfer(
            row["order_id"],
            "refund",
            row["amount"],
            refund_entries(row["account_id"], row["amount"], row["currency"]),
        )
        for row in charged
    ]
    await post(sql, transfers)


async def open_system(sql: asyncpg.Connection, currencies: Iterable[str]) -> None:
    """Opens the bank's and the revenue's account of each currency, if they are new."""
    await sql.execute(OPEN_SYSTEM, list(currencies))


async def open_customers(sql: asyncpg.Connection, ids: Sequence[str], currencies: Sequence[str]) -> set[str]:
    """Opens accounts, with nothing in them, and returns the ids of those that are new."""
    return {row["account_id"] for row in await sql.fetch(OPEN_CUSTOMERS, ids, currencies)}
