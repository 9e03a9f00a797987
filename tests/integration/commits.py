"""A coordinator's side of participants that run in the test's own process, on the stack's servers.

They have databases of their own: what one does alone, the shop would miss elsewhere.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from itertools import count
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from infra.native import Stack, credentials
from services.commit.participant import tell_nobody
from services.commit.route import OrderScript, OrderWork, ParticipantRoute
from services.contract.commit import Asked, Batch, Told, Work
from services.contract.messages import Line
from services.inventory import participation as inventory
from services.order import participation as order
from services.payment import participation as payment
from services.runtime import migrate
from services.runtime.ids import uuid7

PARTICIPATION = {"order": order, "inventory": inventory, "payment": payment}


def no_script(work: Work) -> str:
    return ""


EPOCH = 1_000_000_000
"""Of no living coordinator."""

_made: set[str] = set()
TABLES = {
    "order": ("orders", "order_lines", "idempotency"),
    "payment": ("accounts", "transfers", "entries"),
    "inventory": ("stock", "holds"),
}
_numbers = count(1)
RUN = uuid4().hex[:6]


class Desk:
    """One participant, asked as a coordinator would ask it, and its database."""

    def __init__(
        self, stack: Stack, service: str, work: OrderWork | None = None, script: OrderScript | None = None
    ) -> None:
        """`work` instead of the service's own, which has a script for the usual case, too."""
        self.url = database_of(stack, service, "test")
        ours = PARTICIPATION[service]
        script = script or (ours.script if work is None else no_script)
        self.route = ParticipantRoute(service, self.url, work or ours.work, script, tell_nobody, "a token")
        self.database = self.route.participant.deciding

    async def ask(self, *requests: Asked) -> list[Told]:
        return list((await self.route.handle(Batch(requests))).answers)

    async def vote(self, transaction: str, *works: Work, number: int = 1, protocol: str = "2pc") -> Told:
        [told] = await self.ask(prepare(transaction, *works, number=number, protocol=protocol))
        return told

    async def say(self, verb: str, transaction: str, number: int = 1, protocol: str = "2pc") -> Told:
        [told] = await self.ask(asked(verb, transaction, number=number, protocol=protocol))
        return told

    async def fetch(self, query: str, *arguments: object) -> list[tuple[object, ...]]:
        async with self.database.connection() as sql:
            return [tuple(row) for row in await sql.fetch(query, *arguments)]

    async def prepared(self, transaction: str) -> list[str]:
        """The gids that are prepared of a transaction."""
        query = "SELECT gid FROM pg_prepared_xacts WHERE position($1 in gid) > 0 ORDER BY gid"
        return [str(gid) for (gid,) in await self.fetch(query, transaction)]

    async def stock(self, sku: str) -> tuple[object, ...]:
        """On hand, held, sold."""
        [row] = await self.fetch("SELECT on_hand, held, sold FROM stock WHERE sku = $1", sku)
        return row


@contextlib.asynccontextmanager
async def desk(
    stack: Stack, service: str, work: OrderWork | None = None, script: OrderScript | None = None
) -> AsyncIterator[Desk]:
    """Nothing is there yet; whatever it leaves prepared is rolled back."""
    opened = Desk(stack, service, work, script)
    await make(stack, service, opened.url)
    await clear(opened.url, service)
    try:
        yield opened
    finally:
        await clear(opened.url, service)
        await opened.route.participant.close()


def database_of(stack: Stack, service: str, whose: str) -> str:
    """The address of a database that is not the shop's, on the same server."""
    return f"{stack.told['databases'][service]['owner']}_{whose}"


async def make(stack: Stack, service: str, url: str) -> None:
    """Once; with the service's tables, empty."""
    if url in _made:
        return
    _made.add(url)
    password = credentials.load(stack.layout.credentials)["postgres"]
    parts = urlsplit(url)
    server = await asyncpg.connect(f"postgresql://postgres:{password}@{parts.hostname}:{parts.port}/postgres")
    with contextlib.suppress(asyncpg.DuplicateDatabaseError):
        await server.execute(f'CREATE DATABASE "{parts.path[1:]}" OWNER "{service}"')
    await server.close()
    await asyncio.to_thread(migrate.upgrade, service, url)


async def clear(url: str, service: str) -> None:
    connection = await asyncpg.connect(url)
    ours = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
    for (gid,) in await connection.fetch(ours):
        await connection.execute(f"ROLLBACK PREPARED '{gid}'")
    await connection.execute(f"TRUNCATE {', '.join(TABLES[service])}, branches, precommits")
    await connection.execute("UPDATE awake SET since = now(), until = now()")
    await connection.close()


def asked(
    verb: str, transaction: str, *works: Work, number: int = 1, protocol: str = "2pc", epoch: int = EPOCH
) -> Asked:
    return Asked(transaction, epoch, number, protocol, verb, works)  # type: ignore[arg-type]


def prepare(transaction: str, *works: Work, number: int = 1, protocol: str = "2pc") -> Asked:
    return asked("prepare", transaction, *works, number=number, protocol=protocol)


def buy(items: dict[str, int], *, customer: str = "nobody", order_id: str = "", amount: int = 500) -> Work:
    lines = tuple(Line(sku, quantity) for sku, quantity in items.items())
    return Work(order_id or uuid7(), "buy", customer, amount, "EUR", lines)


def cancel(order_id: str) -> Work:
    return Work(order_id, "cancel")


async def new_stock(inventory: Desk, pieces: int) -> str:
    """The sku of a product that has never been sold."""
    sku = f"two-{RUN}-{next(_numbers)}"
    insert = "INSERT INTO stock (sku, on_hand, received) VALUES ($1, $2, $2)"
    async with inventory.database.connection() as sql:
        await sql.execute(insert, sku, pieces)
    return sku


async def new_customer(payment: Desk, balance: int) -> str:
    customer = f"two-{RUN}-{next(_numbers)}"
    insert = "INSERT INTO accounts (account_id, kind, currency, balance) VALUES ($1, 'customer', 'EUR', $2)"
    async with payment.database.connection() as sql:
        await sql.execute(insert, customer, balance)
    return customer


def ids(works: Sequence[Work]) -> list[str]:
    return [work.order_id for work in works]
