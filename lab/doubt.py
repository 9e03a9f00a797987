"""What is in doubt: transactions that a database has prepared, and the locks that they hold meanwhile.

Seen in the databases, whatever the services say, or cannot say because they are stopped or dead. An operator
sees what they say (`services/commit/by_hand.py`).
"""

from dataclasses import dataclass

from lab.databases import Databases, connected
from lab.state import Stack
from services.contract.commit import PARTICIPANTS

# The locks of a prepared transaction belong to no process. Which they are, the lock on its own id tells.
PREPARED = """
select p.gid, extract(epoch from clock_timestamp() - p.prepared)::float8 as age_s,
       array(select distinct l.relation::regclass::text
             from pg_locks own join pg_locks l using (virtualtransaction)
             join pg_class c on c.oid = l.relation and c.relkind = 'r'
             where own.transactionid = p.transaction and own.granted and own.pid is null and l.pid is null
               and l.mode = 'RowExclusiveLock' order by 1) as tables,
       (select count(*) from pg_locks w where not w.granted and w.transactionid = p.transaction) as waiting
from pg_prepared_xacts p where p.database = current_database() order by p.prepared
"""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One prepared transaction at one participant: the tables whose rows it has locked, and who waits."""

    participant: str
    gid: str
    age_s: float
    tables: tuple[str, ...]
    waiting: int


async def in_doubt(stack: Stack) -> list[Doubt]:
    """All that is prepared now, in the three databases. Raises Trouble when one cannot be reached."""
    async with connected(stack, PARTICIPANTS) as databases:
        return await prepared(databases)


async def prepared(databases: Databases) -> list[Doubt]:
    found: list[Doubt] = []
    for name, sql in databases.items():
        for gid, age_s, tables, waiting in await sql.fetch(PREPARED):
            found.append(Doubt(name, gid, age_s, tuple(tables), waiting))
    return found
