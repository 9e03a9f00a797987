"""What the journals of some orders tell: their messages, and how long goods and money were not for others."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx

from lab.databases import connected
from lab.state import Stack
from lab.stats import summary
from lab.workload import SAGA

SAMPLE = 100
AT_ONCE = 8
BEGUN = re.compile(r"begin, (\d+) order")

CONFIRMED = """
    select order_id from orders where order_id >= $1 and protocol = $2 and status = 'CONFIRMED'
    order by order_id
"""

Event = tuple[str, str]
"""A role, and what became of it."""

HELD: dict[str, tuple[Event, Event]] = {
    "stock": (("inventory", "order.hold done"), ("inventory", "order.ship done")),
    "money": (("payment", "order.charge done"), ("order", "order.confirm done")),
}
"""By a saga: from when a piece is set aside until it is sold, and from when the money is taken until nothing
can give it back any more. Nobody waits for either."""

LOCKED: dict[str, tuple[Event, Event]] = {
    what: ((role, "votes yes"), (role, "committed"))
    for what, role in (("stock", "inventory"), ("money", "payment"))
}
"""By a commit: from the vote until the participant has committed, as the coordinator hears of both. The row
is locked before the one and free before the other; whoever wants it waits."""

Entry = dict[str, Any]


async def journals(stack: Stack, since: UUID, protocol: str) -> list[list[Entry]]:
    """Of at most `SAMPLE` orders that were confirmed since, evenly among them, as far as they were kept."""
    async with connected(stack, ["order"]) as databases:
        ids = [row["order_id"] for row in await databases["order"].fetch(CONFIRMED, since, protocol)]
    turn = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=stack.public_url, trust_env=False, timeout=30) as http:

        async def journal(order: UUID) -> list[Entry]:
            async with turn:
                answer = await http.get(f"/orders/{order}/trace")
            return list(answer.json()["entries"]) if answer.is_success else []

        some = ids if len(ids) <= SAMPLE else [ids[n * len(ids) // SAMPLE] for n in range(SAMPLE)]
        found = await asyncio.gather(*map(journal, some))
    return [entries for entries in found if entries]


def messages(found: Sequence[Sequence[Entry]]) -> dict[str, float]:
    """An order's share of them, by sender; `all` together."""
    if not found:
        return {}
    sent: defaultdict[str, float] = defaultdict(float)
    for entries in found:
        together = _together(entries)
        for entry in entries:
            if entry["kind"] == "sent":
                sent[entry["role"]] += 1 / (together or 1)
        if together:
            sent["order"] += 1  # what asks the coordinator to begin, before the journal does
    sent["all"] = sum(sent.values())
    return {role: round(count / len(found), 2) for role, count in sent.items()}


def _together(entries: Sequence[Entry]) -> int:
    """The orders of its transaction; 0: it is a saga."""
    begun = (BEGUN.match(entry["what"]) for entry in entries if entry["kind"] == "received")
    return next((int(match[1]) for match in begun if match), 0)


def held_ms(found: Sequence[Sequence[Entry]], protocol: str) -> dict[str, dict[str, float]]:
    """How long stock and money are held: the distribution, of what was held."""
    spans = HELD if protocol == SAGA else LOCKED
    known = {what: list(_spans(found, *ends)) for what, ends in spans.items()}
    return {what: summary(values) for what, values in known.items() if values}


def _spans(found: Sequence[Sequence[Entry]], begin: Event, end: Event) -> Iterator[float]:
    """Milliseconds from the last `begin` before the first `end`: what was rolled back before held nothing."""
    for entries in found:
        began: datetime | None = None
        for entry in entries:
            if entry["kind"] != "state":
                continue
            if (entry["role"], entry["what"]) == begin:
                began = datetime.fromisoformat(entry["at"])
            elif (entry["role"], entry["what"]) == end and began:
                yield (datetime.fromisoformat(entry["at"]) - began).total_seconds() * 1000
                break
