"""Two at once: locks are taken in one order, twins are told apart, and who loses a race starts over."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import uuid4

from services.contract import topics
from services.inventory.api import NewProduct, ProductRoutes
from services.payment import model, store
from services.payment.api import CustomerImport, CustomerRoutes, NewCustomer
from services.runtime.bus import Producer
from services.runtime.database import Database
from services.runtime.ids import uuid7
from services.runtime.outbox import Outbox
from services.runtime.problems import Problem
from tests.e2e.shopper import eventually


@contextlib.asynccontextmanager
async def database_of(service: str, stack: dict[str, Any]) -> AsyncIterator[Database]:
    database = Database(stack["databases"][service]["owner"])
    yield database
    await database.close()


@contextlib.asynccontextmanager
async def rolled_back(database: Database) -> AsyncIterator[Any]:
    """A transaction that leaves nothing: its orders are nobody's, and an audit would say so."""
    async with database.connection() as sql:
        transaction = sql.transaction()
        await transaction.start()
        try:
            yield sql
        finally:
            await transaction.rollback()


async def waiting(database: Database) -> int:
    """How many sessions of this database wait for a lock."""
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    async with database.connection() as sql:
        found: int = await sql.fetchval(query)
        return found


async def test_no_transfer_waits_for_another_customers(stack: dict[str, Any]) -> None:
    """What the bank and the revenue hold is the sum of their entries: nobody locks them to book one."""
    async with database_of("payment", stack) as payment:
        customers = [f"c-{uuid4().hex}" for _ in range(2)]
        async with payment.transaction() as sql:
            await store.open_system(sql, ["EUR"])
            await store.open_customers(sql, customers, ["EUR"] * 2)
        async with rolled_back(payment) as slow, rolled_back(payment) as quick:
            for sql, customer in ((slow, customers[0]), (quick, customers[1])):
                await sql.execute("SET LOCAL lock_timeout = '1s'")
                for kind, entries in (
                    ("deposit", model.deposit_entries(customer, 5, "EUR")),
                    ("charge", model.charge_entries(customer, 5, "EUR")),
                ):
                    await store.post(sql, [store.Transfer(uuid7(), kind, 5, entries)])


async def test_an_import_that_lost_a_deadlock_starts_over(stack: dict[str, Any]) -> None:
    async with database_of("payment", stack) as payment:
        first, second = (f"c-{number}-{uuid4().hex}" for number in (1, 2))
        open_account = "INSERT INTO accounts (account_id, kind, currency) VALUES ($1, 'customer', 'EUR')"
        customers = [NewCustomer(customer_id=c, currency="EUR", balance=5) for c in (first, second)]
        async with payment.connection() as other:
            transaction = other.transaction()
            await transaction.start()
            await other.execute("SET LOCAL lock_timeout = 0")  # the import is the one that gives way
            await other.execute(open_account, second)
            importing = CustomerRoutes(payment).import_many(CustomerImport(customers=customers))
            task = asyncio.create_task(importing)
            await eventually(partial(waiting, payment), 1)
            await other.execute(open_account, first)  # Postgres ends who waited first
            await transaction.rollback()
        assert (await task).created == 2


async def test_of_two_who_add_a_product_at_once_one_is_told_that_it_exists(stack: dict[str, Any]) -> None:
    async with database_of("inventory", stack) as inventory:
        outbox = Outbox("test-products", inventory, Producer("nowhere:1", topics.PARTITIONS))
        create = ProductRoutes("test", inventory, outbox).create
        sku = f"p-{uuid4().hex}"
        async with inventory.connection() as other:
            transaction = other.transaction()
            await transaction.start()
            await other.execute(
                "INSERT INTO products (sku, name, price, currency) VALUES ($1, '', 1, 'EUR')", sku
            )
            twins = [NewProduct(sku=sku, name=name, price=1, currency="EUR", stock=7) for name in "AB"]
            tasks = [asyncio.create_task(create(twin)) for twin in twins]
            await eventually(partial(waiting, inventory), 2)
            await transaction.rollback()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        [added] = [a for a in answers if not isinstance(a, BaseException)]
        [refused] = [a for a in answers if isinstance(a, Problem)]
        assert refused.status == 409
        async with inventory.connection() as sql:
            rows = await sql.fetch("SELECT name, version FROM products WHERE sku = $1", sku)
        assert [tuple(row) for row in rows] == [(added.name, 1)], "nor did the second one change it"
