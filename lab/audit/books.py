"""Money and stock: conserved within one database, so one statement, which sees one moment, is exact."""

import asyncpg

from lab.audit import promises
from lab.audit.promises import Finding
from lab.databases import Connection

MOST = 1_000  # findings a statement; beyond that the number says "many" and nobody reads on

TRANSFERS = """
select transfer_id, kind, t.amount, count(e.account_id) as entries, coalesce(sum(e.amount), 0) as total,
       max(e.amount) as largest, min(a.currency) is distinct from max(a.currency) as mixed,
       count(a.account_id) as accounts, sum(e.amount) filter (where a.side = 'system') as system
from transfers t full join entries e using (transfer_id, kind)
left join (select account_id, currency, kind as side from accounts) a using (account_id)
group by transfer_id, kind, t.amount
having t.amount is null or count(e.account_id) <> 2 or sum(e.amount) <> 0 or max(e.amount) <> t.amount
    or count(a.account_id) <> 2 or min(a.currency) <> max(a.currency)
    or sum(e.amount) filter (where a.side = 'system')
       is distinct from case kind when 'charge' then t.amount else -t.amount end
limit $1
"""
# What the bank and the revenue have is what their entries add up to; the bank's on the debit side.
ACCOUNTS = """
select account_id, coalesce(balance, booked), booked from (
    select a.account_id, a.kind, a.balance,
           coalesce(e.total, 0) * case when a.account_id like 'bank:%' then -1 else 1 end as booked
    from accounts a left join (select account_id, sum(amount) as total from entries group by account_id) e
    using (account_id)
) a
where least(balance, booked) < 0 or balance <> booked or (kind = 'system') <> (balance is null) limit $1
"""
STOCK = """
select sku, s.on_hand, s.held, s.sold, s.received, coalesce(h.held, 0) as held_by_orders,
       coalesce(h.sold, 0) as sold_to_orders, s.sku is null as missing
from stock s full join (
    select sku, coalesce(sum(quantity) filter (where state = 'held'), 0) as held,
           coalesce(sum(quantity) filter (where state = 'shipped'), 0) as sold
    from holds group by sku
) h using (sku)
where s.sku is null or least(s.on_hand, s.held, s.sold, s.received) < 0
   or s.on_hand + s.held + s.sold <> s.received
   or s.held <> coalesce(h.held, 0) or s.sold <> coalesce(h.sold, 0)
limit $1
"""


async def money(payment: Connection) -> list[Finding]:
    """Double entry: transfers that do not balance, and balances that are not their entries' sum."""
    found = [
        Finding(
            promises.MONEY,
            f"{row['kind']}/{row['transfer_id']}",
            f"{row['kind']} {row['transfer_id']} {_unbalanced(row)}",
        )
        for row in await payment.fetch(TRANSFERS, MOST)
    ]
    for account, balance, booked in await payment.fetch(ACCOUNTS, MOST):
        words = "is overdrawn" if balance < 0 else f"has entries that add up to {booked}"
        found.append(Finding(promises.MONEY, account, f"account {account} with balance {balance} {words}"))
    return found


def _unbalanced(row: asyncpg.Record) -> str:
    if row["amount"] is None:
        return "has entries, but no transfer"
    if row["entries"] != 2:
        return f"of {row['amount']} has {row['entries']} entries instead of two"
    if row["total"] != 0:
        return f"of {row['amount']} does not sum to zero but to {row['total']}"
    if row["largest"] != row["amount"]:
        return f"of {row['amount']} has entries over {row['largest']}"
    if row["accounts"] != 2 or row["mixed"]:
        return f"of {row['amount']} is between accounts that do not exist or differ in currency"
    return f"of {row['amount']} moves the system's account by {row['system']}: the wrong way"


async def stock(inventory: Connection) -> list[Finding]:
    """Pieces that were created or lost, and stock that is held or sold for nobody."""
    return [
        Finding(promises.STOCK, row["sku"], f"sku {row['sku']} {_miscounted(row)}")
        for row in await inventory.fetch(STOCK, MOST)
    ]


def _miscounted(row: asyncpg.Record) -> str:
    if row["missing"]:
        return (
            f"is held or sold in orders ({row['held_by_orders']}, {row['sold_to_orders']}), but has no stock"
        )
    counts = f"{row['on_hand']} on hand, {row['held']} held, {row['sold']} sold of {row['received']} received"
    if row["on_hand"] + row["held"] + row["sold"] != row["received"]:
        return f"does not add up: {counts}"
    if min(row["on_hand"], row["held"], row["sold"], row["received"]) < 0:
        return f"is negative: {counts}"
    return f"has {counts}; its orders say {row['held_by_orders']} held, {row['sold_to_orders']} sold"
