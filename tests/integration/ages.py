"""Orders of any age, planted in databases where nothing else is, and chores that ask one another there."""

import random
import time
from dataclasses import dataclass
from uuid import UUID
from zlib import crc32

import httpx
import msgspec

from lab.databases import Databases
from orchestrator import retention
from services.contract.retention import DAY_S, RECORDS_KEPT_S
from services.contract.topics import PARTITIONS
from services.order import store
from services.retention import chores, needed
from services.runtime.janitor import Chore

OLD_S, YOUNG_S = RECORDS_KEPT_S + DAY_S, RECORDS_KEPT_S - DAY_S
STATEMENTS = {"order": store.UNENDED, "orchestrator": retention.KNOWN}
PARTICIPANTS = ("order", "payment", "inventory")

ORDER = """
    INSERT INTO orders (order_id, customer_id, protocol, status, amount, currency, request_id, created_at,
                        ended_at, cancel_requested_at)
    VALUES ($1, 'ann', $2, $3, 600, 'XTS', $4, now() - make_interval(secs => $5),
            CASE WHEN $3 <> 'PENDING' THEN now() - make_interval(secs => $5) END,
            CASE WHEN $3 = 'CANCELLING' THEN now() END)
"""
LINE = "INSERT INTO order_lines (order_id, sku, quantity, price) VALUES ($1, 'xts-lamp', 2, 300)"
KEY = """
    INSERT INTO idempotency (id, fingerprint, subject, status, body, created_at)
    VALUES ($1, '', $2, 202, $2::uuid::text, now() - make_interval(secs => $3))
"""
CHARGE = """
    WITH t AS (INSERT INTO transfers (transfer_id, kind, amount) VALUES ($1, 'charge', 600)),
    e AS (INSERT INTO entries (transfer_id, kind, account_id, amount)
          VALUES ($1, 'charge', 'ann', -600), ($1, 'charge', 'revenue:XTS', 600))
    UPDATE accounts SET balance = balance - 600 WHERE account_id = 'ann'
"""
SELL = """
    WITH h AS (INSERT INTO holds (order_id, sku, quantity, state) VALUES ($1, 'xts-lamp', 2, 'shipped'))
    UPDATE stock SET on_hand = on_hand - 2, sold = sold + 2
"""
ENOUGH = {
    "payment": "UPDATE accounts SET balance = balance + 60000 WHERE account_id = 'ann'",
    "inventory": "UPDATE stock SET on_hand = on_hand + 200, received = received + 200",
}
DEPOSIT = """
    WITH t AS (INSERT INTO transfers (transfer_id, kind, amount) VALUES ($1, 'deposit', 60000))
    INSERT INTO entries (transfer_id, kind, account_id, amount)
    VALUES ($1, 'deposit', 'bank:XTS', -60000), ($1, 'deposit', 'ann', 60000)
"""
STEP = """
    INSERT INTO inbox (subject, step, outcome, created_at)
    VALUES ($1, $2, 'done', now() - make_interval(secs => $3))
"""
STEPS = {
    "order": ["order.confirm"],
    "payment": ["order.charge"],
    "inventory": ["order.hold", "order.ship"],
}
SAGA = """
    INSERT INTO sagas (order_id, kind, shard, epoch, running, state, payload, traceparent, log, keep_log,
                       wake_for, started_at, ended_at, outcome)
    SELECT $1, 'order', $2, 1, $4::float8 IS NULL, '{}', '', '', '', false, '',
           now() - make_interval(secs => $3), now() - make_interval(secs => $4::float8),
           CASE WHEN $4::float8 IS NOT NULL THEN 'completed' END
"""
TRANSACTION = """
    INSERT INTO transactions (transaction_id, protocol, shard, epoch, running, state, works, traceparent, log,
                              started_at, ended_at, outcome)
    SELECT $1, '2pc', $2, 1, $4::float8 IS NULL, $5, '', '', '', now() - make_interval(secs => $3),
           now() - make_interval(secs => $4::float8), CASE WHEN $4::float8 IS NOT NULL THEN 'committed' END
"""
OF_ORDER = "INSERT INTO transaction_orders (order_id, kind, transaction_id) VALUES ($1, 'buy', $2)"
MARKER = """
    WITH n AS (INSERT INTO precommits VALUES ($1, 1, 1, now() - make_interval(secs => $3)))
    INSERT INTO branches VALUES ($1, 1, 1, 'committed', $2, now() - make_interval(secs => $3))
"""
LEFT = {
    "sagas": "SELECT order_id FROM sagas",
    "transactions": "SELECT transaction_id FROM transactions",
    "transaction_orders": "SELECT order_id FROM transaction_orders",
    "inbox": "SELECT subject FROM inbox",
    "branches": "SELECT transaction_id FROM branches",
    "precommits": "SELECT transaction_id FROM precommits",
    "idempotency": "SELECT subject FROM idempotency",
}


@dataclass(frozen=True, slots=True)
class Ages:
    """Some databases in which orders are as old as a test needs them."""

    databases: Databases

    async def prepare(self) -> None:
        """More money and goods than any test spends."""
        for name, statement in ENOUGH.items():
            await self.databases[name].execute(statement)
        await self.databases["payment"].execute(DEPOSIT, id_of(0))

    async def order(self, age_s: float, status: str = "CONFIRMED", protocol: str = "saga") -> UUID:
        """An order with all that it did, and the key under which it was placed."""
        id, request = id_of(age_s), id_of(age_s)
        await self.databases["order"].execute(ORDER, id, protocol, status, request, age_s)
        await self.databases["order"].execute(LINE, id)
        await self.databases["order"].execute(KEY, request, id, age_s)
        if status == "CONFIRMED":
            await self.databases["payment"].execute(CHARGE, id)
            await self.databases["inventory"].execute(SELL, id)
        return id

    async def saga(self, age_s: float, ended_s: float | None, status: str = "CONFIRMED") -> UUID:
        """An order by saga that ended so long ago, or runs still."""
        id = await self.order(age_s, status)
        await self.databases["orchestrator"].execute(SAGA, id, shard(id), age_s, ended_s)
        for name, steps in STEPS.items():
            for step in steps:
                await self.databases[name].execute(STEP, id, step, age_s)
        return id

    async def commit(
        self, age_s: float, ended_s: float | None, *orders: UUID, mixed: tuple[str, ...] = ()
    ) -> UUID:
        """A two-phase commit of these orders, that all participants have committed."""
        id, orchestrator = id_of(age_s), self.databases["orchestrator"]
        state = {"mixed": mixed, "orders": [str(order) for order in orders]}
        text = msgspec.json.encode(state).decode()
        await orchestrator.execute(TRANSACTION, id, shard(orders[0]), age_s, ended_s, text)
        for order in orders:
            await orchestrator.execute(OF_ORDER, order, id)
        for name in PARTICIPANTS:
            await self.databases[name].execute(MARKER, id, orders, age_s)
        return id

    async def left(self, database: str, table: str) -> set[UUID]:
        return {row[0] for row in await self.databases[database].fetch(LEFT[table])}

    def chores(self, name: str) -> list[Chore]:
        """Those of one service, which asks the others as it would over HTTP."""
        client = httpx.AsyncClient(base_url="http://inside", transport=httpx.MockTransport(self._answer))
        if name == "orchestrator":
            return retention.chores(client, "")
        return chores.of_participant(client, "", store.KEY_NEEDED if name == "order" else "false")

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        service = request.url.path.split("/")[1]
        rows = await self.databases[service].fetch(
            STATEMENTS[service], request.url.params["first"], needed.MOST
        )
        answer = needed.Answer(tuple(row["id"] for row in rows), complete=len(rows) < needed.MOST)
        return httpx.Response(200, content=msgspec.json.encode(answer))

    async def forget(self, *names: str, rounds: int = 40) -> None:
        for name in names:
            done = self.chores(name)
            for _ in range(rounds):
                for chore in done:
                    await chore(self.databases[name])


def id_of(age_s: float) -> UUID:
    """A new UUID version 7 of that age."""
    return UUID(int=chores.first_of(time.time() - age_s).int | random.getrandbits(62))


def shard(order: UUID) -> int:
    return crc32(str(order).encode()) % PARTITIONS
