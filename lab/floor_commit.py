"""The floor of two- and three-phase commit: bare PREPARE TRANSACTION and COMMIT PREPARED, and nothing else.

The orders are placed by the fifty, as in the other floor. Then each transaction is prepared on one server
after the other, with all its rows in one simple query, which is half as fast again as a round trip a
statement; and committed the same way. Nobody records a decision: nothing would survive a crash.
"""

from collections.abc import Iterable

from lab.databases import Databases
from lab.floor import GID, REVENUE, Rows, place

PREPARE = {
    "order": """
        update orders set status = 'CONFIRMED', ended_at = now() where order_id = any({ids}::uuid[]);
        update idempotency set status = 201 where id = any({requests}::uuid[]);
    """,
    "inventory": """
        update stock set on_hand = on_hand - n, sold = sold + n
        from unnest({goods}::text[], {pieces}::bigint[]) as m (s, n) where sku = s;
        insert into holds (order_id, sku, quantity, state)
        select o, s, 1, 'shipped' from unnest({ids}::uuid[], {skus}::text[]) as n (o, s);
    """,
    "payment": """
        insert into transfers (transfer_id, kind, amount)
        select o, 'charge', p from unnest({ids}::uuid[], {prices}::bigint[]) as n (o, p);
        insert into entries (transfer_id, kind, account_id, amount)
        select o, 'charge', c, -p
        from unnest({ids}::uuid[], {buyers}::text[], {prices}::bigint[]) as n (o, c, p)
        union all
        select o, 'charge', '{revenue}', p from unnest({ids}::uuid[], {prices}::bigint[]) as n (o, p);
        update accounts set balance = balance + d
        from unnest({spenders}::text[], {spent}::bigint[]) as m (a, d) where account_id = a;
    """,
}
MARK = "insert into branches values ('{id}', 1, 1, 'committed', {ids}::uuid[]);"


ORDERS_IN_A_TRANSACTION = {"2pc": 1, "3pc": 1, "2pc-group": 50}


async def write(databases: Databases, rows: Rows, size: int) -> None:
    """These orders, `size` in each transaction."""
    await place(databases, rows)
    for first in range(0, len(rows.ids), size):
        await _commit(databases, rows.part(first, first + size))


async def _commit(databases: Databases, rows: Rows) -> None:
    values = {
        "ids": _array(rows.ids),
        "requests": _array(rows.requests),
        "skus": _array(rows.skus),
        "buyers": _array(rows.buyers),
        "prices": _array(rows.prices),
        "goods": _array(rows.moved),
        "pieces": _array(rows.moved.values()),
        "spenders": _array(rows.spent),
        "spent": _array(rows.spent.values()),
        "revenue": REVENUE,
        "id": rows.ids[0],
    }
    gid = f"{GID}/{rows.ids[0]}"
    for name, work in PREPARE.items():
        prepare = f"begin; {MARK} {work} prepare transaction '{gid}'"
        await databases[name].execute(prepare.format(**values))
    for name in PREPARE:
        await databases[name].execute(f"commit prepared '{gid}'")


def _array(values: Iterable[object]) -> str:
    """A literal. All that comes here was made up by us, and has nothing to be quoted."""
    return "'{" + ",".join(map(str, values)) + "}'"
