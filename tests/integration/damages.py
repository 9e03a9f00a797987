"""A healthy order, row by row, and everything that can be broken about it.

`{order}`, `{request}`, `{deposit}`, `{shard}` and `{ago}` are filled in by the test.
"""

import random
from uuid import UUID
from zlib import crc32

from lab.audit import promises
from lab.databases import Databases
from services.contract.topics import PARTITIONS
from services.runtime.idempotency import key_id

ORDER = UUID(int=random.Random(3).getrandbits(128))
KEY = "a-key"
REQUEST = UUID(key_id(KEY, "ann", "POST", "/orders"))
DEPOSIT = UUID(int=random.Random(5).getrandbits(128))
SHARD = crc32(str(ORDER).encode()) % PARTITIONS

INBOX = "insert into inbox (subject, step, outcome) values ('{order}', '%s', 'done')"

CONFIRMED = {
    "order": [
        """insert into orders
           (order_id, customer_id, protocol, status, amount, currency, request_id, created_at, ended_at)
           values ('{order}', 'ann', 'saga', 'CONFIRMED', 600, 'XTS', '{request}', {ago}, {ago})""",
        "insert into order_lines (order_id, sku, quantity, price) values ('{order}', 'xts-lamp', 2, 300)",
        """insert into idempotency (id, fingerprint, subject, status, body)
           values ('{request}', '', '{order}', 201, '"{order}"')""",
        INBOX % "order.confirm",
    ],
    "payment": [
        """insert into accounts (account_id, kind, currency, balance) values ('ann', 'customer', 'XTS', 400),
           ('bank:XTS', 'system', 'XTS', null), ('revenue:XTS', 'system', 'XTS', null)""",
        """insert into transfers (transfer_id, kind, amount)
           values ('{deposit}', 'deposit', 1000), ('{order}', 'charge', 600)""",
        """insert into entries (transfer_id, kind, account_id, amount) values
           ('{deposit}', 'deposit', 'bank:XTS', -1000), ('{deposit}', 'deposit', 'ann', 1000),
           ('{order}', 'charge', 'ann', -600), ('{order}', 'charge', 'revenue:XTS', 600)""",
        INBOX % "order.charge",
    ],
    "inventory": [
        "insert into products (sku, name, price, currency) values ('xts-lamp', 'Lamp', 300, 'XTS')",
        "insert into stock (sku, on_hand, held, sold, received) values ('xts-lamp', 8, 0, 2, 10)",
        "insert into holds (order_id, sku, quantity, state) values ('{order}', 'xts-lamp', 2, 'shipped')",
        INBOX % "order.hold",
        INBOX % "order.ship",
    ],
    "orchestrator": [
        """insert into sagas (order_id, kind, shard, epoch, running, state, payload, traceparent, log,
           keep_log, wake_for, started_at, ended_at, outcome)
           values ('{order}', 'order', {shard}, 1, false, '{{}}', '', '', '', false, '',
                   {ago}, {ago}, 'completed')""",
    ],
}


async def plant(databases: Databases) -> None:
    """One customer, one product and one order that was confirmed two minutes ago: all is well."""
    for name, statements in CONFIRMED.items():
        for statement in statements:
            await databases[name].execute(filled(statement))


def filled(statement: str) -> str:
    values = {"order": ORDER, "request": REQUEST, "deposit": DEPOSIT, "shard": SHARD}
    return statement.format(**values, ago="now() - interval '2 minutes'")


FREE_CHECKS = """do $$ declare c record; begin
    for c in select conrelid::regclass as t, conname from pg_constraint
             where contype = 'c' and connamespace = 'public'::regnamespace
    loop execute format('alter table %s drop constraint %I', c.t, c.conname); end loop;
end $$"""
SET_ORDER = "update orders set {} where order_id = '{{order}}'".format

# Which promise, in which words, and the damage: database and statement.
DAMAGES: list[tuple[str, str, str, str]] = [
    (promises.PAID, "nobody paid", "payment", "delete from transfers where transfer_id = '{order}'"),
    (promises.PAID, "stock is untouched", "inventory", "delete from holds where order_id = '{order}'"),
    (
        promises.PAID,
        "stock is held",
        "inventory",
        "update holds set state = 'held' where order_id = '{order}'",
    ),
    (promises.PAID, "put aside was", "inventory", "update holds set quantity = 3 where order_id = '{order}'"),
    (
        promises.PAID,
        "is REFUSED, but 600 was charged",
        "order",
        SET_ORDER("status = 'REFUSED', reason = 'out-of-stock'"),
    ),
    (promises.PAID, "unknown to the order service", "order", "delete from orders where order_id = '{order}'"),
    (
        promises.PAID,
        "the money was kept",
        "order",
        SET_ORDER("status = 'CANCELLED', cancel_requested_at = now(), cancelled_at = now()"),
    ),
    (
        promises.MONEY,
        "does not sum to zero",
        "payment",
        "update entries set amount = 599 where transfer_id = '{order}' and amount > 0",
    ),
    (
        promises.MONEY,
        "entries instead of two",
        "payment",
        "delete from entries where transfer_id = '{order}'",
    ),
    (promises.MONEY, "no transfer", "payment", "delete from transfers where transfer_id = '{deposit}'"),
    (
        promises.MONEY,
        "the wrong way",
        "payment",
        "update entries set amount = -amount where transfer_id = '{order}'",
    ),
    (
        promises.MONEY,
        "entries that add up to 400",
        "payment",
        "update accounts set balance = 401 where account_id = 'ann'",
    ),
    (promises.MONEY, "overdrawn", "payment", "update accounts set balance = -1 where account_id = 'ann'"),
    (promises.STOCK, "does not add up", "inventory", "update stock set on_hand = 9 where sku = 'xts-lamp'"),
    (
        promises.STOCK,
        "its orders say 0 held, 2 sold",
        "inventory",
        "update stock set on_hand = 7, held = 1 where sku = 'xts-lamp'",
    ),
    (
        promises.STOCK,
        "is negative",
        "inventory",
        "update stock set on_hand = -1, received = 1 where sku = 'xts-lamp'",
    ),
    (promises.STOCK, "has no stock", "inventory", "delete from stock where sku = 'xts-lamp'"),
    (
        promises.CHARGED,
        "costs 600, but 601 was charged",
        "payment",
        "update transfers set amount = 601 where transfer_id = '{order}'",
    ),
    (promises.CHARGED, "is bob's, but ann was charged", "order", SET_ORDER("customer_id = 'bob'")),
    (
        promises.CHARGED,
        "charged 600 and refunded 700",
        "payment",
        "insert into transfers (transfer_id, kind, amount) values ('{order}', 'refund', 700)",
    ),
    (
        promises.LEFT,
        "holds 2 of xts-lamp since",
        "inventory",
        "update holds set state = 'held', created_at = {ago} where order_id = '{order}'",
    ),
    (
        promises.LEFT,
        "of order-7 in order is unsent",
        "order",
        "insert into outbox (owner, messages, created_at) values ('order-7', '', {ago})",
    ),
    (promises.ENDS, "is PENDING since", "order", SET_ORDER("status = 'PENDING', ended_at = null")),
    (
        promises.ENDS,
        "is CANCELLING since",
        "order",
        SET_ORDER("status = 'CANCELLING', cancel_requested_at = {ago}"),
    ),
    (promises.ENDS, "times in the wrong order", "order", SET_ORDER("ended_at = created_at - interval '1 s'")),
    (promises.ENDS, "with the reason", "order", SET_ORDER("reason = 'deadline-exceeded'")),
    (promises.ENDS, "has no lines", "order", "delete from order_lines where order_id = '{order}'"),
    (promises.ENDS, "lines add up to 600", "order", SET_ORDER("amount = 700")),
    (promises.ENDS, "no saga ran", "orchestrator", "delete from sagas where order_id = '{order}'"),
    (
        promises.ENDS,
        "has ended as compensated",
        "orchestrator",
        "update sagas set outcome = 'compensated' where order_id = '{order}'",
    ),
    (
        promises.ENDS,
        "has a saga that runs since",
        "orchestrator",
        "update sagas set running = true, ended_at = null, outcome = null where order_id = '{order}'",
    ),
    (
        promises.KEYS,
        "no idempotency record",
        "order",
        "delete from idempotency where subject = '{order}'",
    ),
    (
        promises.KEYS,
        "but its idempotency record is",
        "order",
        "update idempotency set id = '{deposit}' where subject = '{order}'",
    ),
    (
        promises.KEYS,
        "has 2 idempotency records",
        "order",
        """insert into idempotency (id, fingerprint, subject, status, body)
           values ('{deposit}', '', '{order}', 202, '"{order}"')""",
    ),
    (
        promises.KEYS,
        "answered with 409, but is CONFIRMED",
        "order",
        "update idempotency set status = 409 where subject = '{order}'",
    ),
    (
        promises.KEYS,
        "does not name it",
        "order",
        "update idempotency set body = 'another' where subject = '{order}'",
    ),
    (promises.KEYS, "but does not exist", "order", "delete from orders where order_id = '{order}'"),
    (
        promises.KEYS,
        "made 2 orders",
        "order",
        """insert into orders
           (order_id, customer_id, protocol, status, amount, currency, request_id, created_at)
           values ('{deposit}', 'ann', 'saga', 'PENDING', 600, 'XTS', '{request}', now())""",
    ),
    (
        promises.REPLAY,
        "no inbox row for order.charge",
        "payment",
        "delete from inbox where subject = '{order}'",
    ),
    (promises.REPLAY, "but no refund", "payment", INBOX % "order.refund"),
    (
        promises.REPLAY,
        "inbox says untouched",
        "inventory",
        "update inbox set outcome = 'refused' where subject = '{order}' and step = 'order.hold'",
    ),
    (
        promises.REPLAY,
        "inbox row for order.confirm",
        "order",
        "delete from inbox where subject = '{order}' and step = 'order.confirm'",
    ),
    (
        promises.REPLAY,
        "without a tombstone",
        "payment",
        """update inbox set step = 'order.refund' where subject = '{order}'""",
    ),
    (promises.FENCES, "belongs to shard", "orchestrator", "update sagas set shard = 1 - sign(shard)"),
    (promises.FENCES, "under epochs", "orchestrator", "update sagas set epoch = 99999999"),
    (
        promises.FENCES,
        "fence 'test' in payment",
        "payment",
        "insert into fences (name, number) values ('test', 0)",
    ),
]
