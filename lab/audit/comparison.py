"""Compares a history, what customers asked and were told, with what the databases hold."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from lab.audit.orders import Moment
from lab.audit.promises import Finding
from lab.audit.reading import Picture, pictures
from lab.audit.told import Found, KeyRecord, judge
from lab.databases import Databases
from lab.history import Told

CHUNK = 50_000  # keys a look; each looks through all orders once
LOOKS = 2
BETWEEN_S = 1.0

RECORDS = "select id, subject, status, body from idempotency where id = any($1::uuid[])"
PLACED = "select request_id, order_id from orders where request_id = any($1::uuid[]) order by order_id"


async def compare(
    databases: Databases, history: Sequence[Told], bound_s: float, between_s: float = BETWEEN_S
) -> list[Finding]:
    """What is wrong in each of several looks: the databases are not read at one instant, and orders move."""
    bound = timedelta(seconds=bound_s)
    found = await _look(databases, history, bound)
    for _ in range(LOOKS if found else 0):
        await asyncio.sleep(between_s)
        before = {(finding.check, finding.subject) for finding in found}
        suspects = {finding.subject for finding in found}
        again = await _look(databases, [told for told in history if told.key in suspects], bound)
        found = [finding for finding in again if (finding.check, finding.subject) in before]
    return found


async def _look(databases: Databases, history: Sequence[Told], bound: timedelta) -> list[Finding]:
    findings: list[Finding] = []
    for start in range(0, len(history), CHUNK):
        findings += await _chunk(databases, history[start : start + CHUNK], bound)
    return findings


async def _chunk(databases: Databases, history: Sequence[Told], bound: timedelta) -> list[Finding]:
    order = databases["order"]
    keys = [told.request_id for told in history]
    records = {id: KeyRecord(*values) for id, *values in await order.fetch(RECORDS, keys)}
    placed: dict[UUID, list[UUID]] = defaultdict(list)
    for request_id, order_id in await order.fetch(PLACED, keys):
        placed[request_id].append(order_id)
    ids = {id for found in placed.values() for id in found} | {id for t in history for id in t.acknowledged}
    seen: dict[UUID, Picture] = {}
    async for batch in pictures(databases, sorted(ids)):
        seen |= {picture.order_id: picture for picture in batch}
    moment = Moment(await order.fetchval("select clock_timestamp()"), bound)
    findings: list[Finding] = []
    for told in history:
        under = tuple(placed.get(told.request_id, ()))
        known = {id: seen[id] for id in {*under, *told.acknowledged} if id in seen}
        findings += judge(told, Found(under, known, records.get(told.request_id)), moment)
    return findings
