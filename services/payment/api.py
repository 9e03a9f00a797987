"""The payment service's HTTP routes: customers and their accounts."""

from functools import partial
from typing import Annotated, Any

import asyncpg
import msgspec
from fastapi import FastAPI, Query, Request, Response
from pydantic import FailFast, Field

from services.payment import model, store
from services.payment.store import Transfer
from services.runtime import idempotency
from services.runtime.database import Database, insist
from services.runtime.http import UNREADABLE, Strict
from services.runtime.ids import uuid7
from services.runtime.plumbing import PATIENCE_S
from services.runtime.problems import Problem, documented

MOST_CUSTOMERS = 100_000

AT_ONCE = 1_000
"""Rows of an import in one transaction: what is done for them in one go takes others some ten ms."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", examples=["alice"])]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["EUR"])]
Money = Annotated[int, Field(ge=0, le=10**12, description="minor units", examples=[100_00])]


class NewCustomer(Strict):
    """`balance` is paid in when the account is opened."""

    customer_id: Annotated[Name, Field(examples=["carol"])]
    currency: Currency
    balance: Money = 0


class CustomerImport(Strict):
    customers: Annotated[list[NewCustomer], FailFast(), Field(min_length=1, max_length=MOST_CUSTOMERS)]


class Deposit(Strict):
    amount: Annotated[int, Field(ge=1, le=10**12, description="minor units", examples=[50_00])]


class Customer(Strict):
    customer_id: str
    currency: str
    balance: int


class Imported(Strict):
    created: int
    existing: int


class CustomerPage(Strict):
    customers: list[Customer]


class CustomerRoutes:
    """Everything that can be done with customers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_to(self, app: FastAPI) -> None:
        tags: list[Any] = ["customers"]
        exists = documented((409, "already-exists", "there is a customer alice already"))
        unknown = (404, "unknown-customer", "there is no customer alice")
        keyed = documented(*UNREADABLE, idempotency.MISSING, unknown)
        app.post("/customers", tags=tags, status_code=201, responses=exists)(self.create)
        app.post("/customers/import", tags=tags)(self.import_many)
        app.get("/customers", tags=tags)(self.page)
        app.get("/customers/{customer_id}", tags=tags, responses=documented(unknown))(self.read)
        app.post(
            "/customers/{customer_id}/deposit", tags=tags, responses=keyed, openapi_extra=idempotency.REQUIRED
        )(self.deposit)

    async def create(self, customer: NewCustomer) -> Customer:
        """Open an account. 409 when the customer has one."""
        if not await self._open([customer]):
            raise Problem(409, "already-exists", f"there is a customer {customer.customer_id} already")
        return await self.read(customer.customer_id)

    async def import_many(self, body: CustomerImport) -> Imported:
        """Open many accounts; those that exist are left as they are.

        They are opened a thousand at a time, so an import that was broken off has done a part. Repeat it.
        """
        created = await self._open(body.customers)
        return Imported(created=created, existing=len(body.customers) - created)

    async def _open(self, customers: list[NewCustomer]) -> int:
        if len({customer.customer_id for customer in customers}) < len(customers):
            raise Problem(422, "invalid-request", "customers: name each customer once")
        customers = sorted(customers, key=lambda customer: customer.customer_id)
        some = [customers[start : start + AT_ONCE] for start in range(0, len(customers), AT_ONCE)]
        return sum([await insist(partial(self._open_some, part), for_s=PATIENCE_S) for part in some])

    async def _open_some(self, some: list[NewCustomer]) -> int:
        async with self._database.transaction() as sql:
            await store.open_system(sql, {customer.currency for customer in some})
            new = await store.open_customers(sql, [c.customer_id for c in some], [c.currency for c in some])
            first = [c for c in some if c.balance and c.customer_id in new]
            await store.post(sql, [_deposit(c.customer_id, c.balance, c.currency) for c in first])
        return len(new)

    async def read(self, customer_id: str) -> Customer:
        """A customer's account as it is now."""
        async with self._database.connection() as sql:
            row = await sql.fetchrow(store.ONE, customer_id[:64].replace("\x00", ""))
        if row is None:
            raise Problem(404, "unknown-customer", f"there is no customer {customer_id:.64}")
        return Customer(customer_id=row["account_id"], currency=row["currency"], balance=row["balance"])

    async def page(
        self,
        after: Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> CustomerPage:
        """Customers in the order of their ids, from behind `after`."""
        async with self._database.connection() as sql:
            rows = await sql.fetch(store.PAGE, after, limit)
        return CustomerPage(customers=[Customer(customer_id=r[0], currency=r[1], balance=r[2]) for r in rows])

    async def deposit(
        self,
        customer_id: str,
        body: Deposit,
        http: Request,
    ) -> Response:
        """Pay money in. Needs an Idempotency-Key; repeating the request with it changes nothing more."""
        key = idempotency.read_key(http.headers.getlist("idempotency-key"))
        customer = await self.read(customer_id)
        request = idempotency.fingerprint(body.model_dump_json().encode())
        key_id = idempotency.key_id(key, customer.customer_id, "POST", "/customers/deposit")
        async with self._database.transaction() as sql:
            account = (await store.lock_accounts(sql, [customer.customer_id]))[customer.customer_id]
            record = (await idempotency.recall(sql, [key_id])).get(key_id)
            if record is None:
                record = await self._pay_in(sql, account, body.amount, key_id, request)
        idempotency.refuse_reuse(record, request)
        return Response(record.body, record.status or 200, media_type="application/json")

    async def _pay_in(
        self, sql: asyncpg.Connection, account: model.Account, amount: int, key_id: str, request: bytes
    ) -> idempotency.Record:
        balance = account.balance + amount
        if balance > model.LARGEST_BALANCE:
            raise Problem(409, "balance-too-large", f"no account may hold more than {model.LARGEST_BALANCE}")
        answer = {"customer_id": account.account_id, "currency": account.currency, "balance": balance}
        record = idempotency.Record(key_id, request, None, 200, msgspec.json.encode(answer).decode())
        await idempotency.claim(sql, [record])
        await store.post(sql, [_deposit(account.account_id, amount, account.currency)])
        return record


def _deposit(customer_id: str, amount: int, currency: str) -> Transfer:
    return Transfer(uuid7(), "deposit", amount, model.deposit_entries(customer_id, amount, currency))
