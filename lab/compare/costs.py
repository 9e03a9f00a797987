"""What orders cost the databases: commits, bytes of write-ahead log and how often it was made durable."""

import asyncio
from typing import NamedTuple

import asyncpg

from lab.databases import connected
from lab.state import SERVICES, Stack

FLUSHED_S = 1.2
"""Postgres adds up a session's figures once a second at most."""

LOG = "select (pg_current_wal_insert_lsn() - '0/0')::bigint"
COMMITS = "select sum(xact_commit)::bigint from pg_stat_database"
SYNCS = "select wal_sync from pg_stat_wal"
SYNCS_18 = "select sum(fsyncs)::bigint from pg_stat_io where object = 'wal'"


class Costs(NamedTuple):
    """Of one database."""

    commits: int
    wal_bytes: int
    fsyncs: int


async def costs(stack: Stack) -> dict[str, Costs]:
    """Since the servers started."""
    await asyncio.sleep(FLUSHED_S)
    async with connected(stack, SERVICES) as databases:
        return {
            name: Costs(await sql.fetchval(COMMITS), await sql.fetchval(LOG), await _syncs(sql))
            for name, sql in databases.items()
        }


async def _syncs(sql: "asyncpg.Connection[asyncpg.Record]") -> int:
    version = sql.get_server_version()
    return int(await sql.fetchval(SYNCS_18 if version.major >= 18 else SYNCS) or 0)


def per_order(before: dict[str, Costs], after: dict[str, Costs], orders: int) -> dict[str, dict[str, float]]:
    """By kind of cost, then by database; `all` is their sum."""
    found = {}
    for kind in Costs._fields:
        spent = {name: getattr(after[name], kind) - getattr(before[name], kind) for name in after}
        spent["all"] = sum(spent.values())
        found[kind] = {name: round(count / max(orders, 1), 2) for name, count in spent.items()}
    return found
