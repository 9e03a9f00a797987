"""The payment service's part in a commit: orders are paid, or paid back."""

from collections.abc import Sequence

import asyncpg

from services.contract.commit import Refused, Work
from services.payment import model, store
from services.payment.store import Transfer


async def work(sql: asyncpg.Connection, works: Sequence[Work]) -> Sequence[Refused]:
    """Each order's transfer bears the order's id, so the database itself refuses a second charge."""
    bought = [work for work in works if work.kind == "buy"]
    cancelled = [work.order_id for work in works if work.kind == "cancel"]
    if bought and cancelled:
        await store.lock_all(sql, {work.customer_id for work in bought}, cancelled)
    refusals = await _charge(sql, bought) if bought else []
    if cancelled and not refusals:
        await store.refund(sql, cancelled)
    return refusals


def script(work: Work) -> str:
    """Fails when it cannot be paid."""
    return store.charge_script(_transfer(work), work.currency)


def _transfer(work: Work) -> Transfer:
    entries = model.charge_entries(work.customer_id, work.amount, work.currency)
    return Transfer(work.order_id, "charge", work.amount, entries)


async def _charge(sql: asyncpg.Connection, works: Sequence[Work]) -> list[Refused]:
    accounts = await store.lock_accounts(sql, {work.customer_id for work in works})
    refusals: list[Refused] = []
    transfers: list[Transfer] = []
    for work in works:
        customer_id, amount, currency = work.customer_id, work.amount, work.currency
        match model.charge(accounts.get(customer_id), customer_id, amount, currency):
            case model.Refused(reason, detail):
                refusals.append(Refused(work.order_id, reason, detail))
            case account:
                accounts[customer_id] = account
                transfers.append(_transfer(work))
    if not refusals:  # or all of it is rolled back
        await store.post(sql, transfers)
    return refusals
