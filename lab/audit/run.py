"""The audit: one look at everything, then a few more at what looked wrong, before anyone is accused.

Orders move while we look, and four databases are never read at the same instant. So a finding counts
only if the same promise of the same subject is broken in two looks running, of which the later ones read
few rows and take milliseconds; and orders placed after the audit began are left to the next one.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import UUID

from lab.audit import books, leftovers
from lab.audit.comparison import compare
from lab.audit.orders import Moment, judge, moving
from lab.audit.promises import ALL, PROMISES, Finding
from lab.audit.reading import Picture, pictures
from lab.databases import LOST, Databases, connected
from lab.history import Outcome, Told
from lab.screen import Advance, progress
from lab.state import SERVICES, Stack, Trouble

LOOKS = 3
BETWEEN_S = 1.0
MOST_AGAIN = 50_000  # orders looked at again; where more are wrong, fewer will do to say so
EXAMPLES = 5

# And the latest time that an order bears: those of an hour in which the clock was ahead are not left out.
BEGAN = "select clock_timestamp(), greatest(clock_timestamp(), max(created_at)) from orders"


@dataclass(frozen=True, slots=True)
class Report:
    """`told`: how many requests of a history ended how, if one was compared with."""

    findings: Sequence[Finding]
    orders: int
    told: dict[str, int] | None = None

    @property
    def violations(self) -> int:
        return len({(finding.check, finding.subject) for finding in self.findings})

    def as_json(self) -> dict[str, Any]:
        by_check: dict[str, dict[str, str]] = defaultdict(dict)
        for check, subject, words in self.findings:
            told = by_check[check]
            more = words.removeprefix(f"order {subject} ").removeprefix(f"request {subject} ")
            told[subject] = f"{told[subject]}; {more}" if subject in told else words
        checks = [
            {
                "name": name,
                "violations": len(by_check[name]),
                "examples": list(by_check[name].values())[:EXAMPLES],
            }
            for name in (PROMISES if self.told is None else ALL)
        ]
        report = {"checks": checks, "violations": self.violations, "orders": self.orders}
        return report if self.told is None else report | {"requests": self.told}


@dataclass(slots=True)
class _Look:
    """What one look at orders saw."""

    findings: list[Finding] = field(default_factory=list)
    again: set[UUID] = field(default_factory=set)
    seen: int = 0

    def at(self, picture: Picture, moment: Moment, latest: datetime) -> None:
        if picture.order and picture.status and picture.order.created_at > latest:
            return
        self.seen += picture.status is not None
        found = judge(picture, moment)
        self.findings += found
        if (found or moving(picture)) and len(self.again) < MOST_AGAIN:
            self.again.add(picture.order_id)


async def audit_stack(stack: Stack, bound_s: float, history: Sequence[Told] | None = None) -> Report:
    """Looks with the login that can only read; if there is a history, also at what was told.

    Raises Trouble when it cannot look.
    """
    async with connected(stack, SERVICES) as databases:
        try:
            total = int(await databases["order"].fetchval("select count(*) from orders"))
            with progress("auditing orders", total) as advance:
                report = await audit(databases, bound_s, advance)
            if history is None:
                return report
            findings = await compare(databases, history, bound_s)
            outcomes = Counter(one.outcome for one in history)
            counts = {name: outcomes[name] for name in get_args(Outcome)}
            return replace(report, findings=[*report.findings, *findings], told=counts)
        except LOST as error:
            raise Trouble(f"The audit could not look: {error}") from None


async def audit(
    databases: Databases, bound_s: float, advance: Advance = lambda _: None, between_s: float = BETWEEN_S
) -> Report:
    """`databases`: one open connection to each of the four; what their transactions see is judged."""
    bound = timedelta(seconds=bound_s)
    [(began, latest)] = await databases["order"].fetch(BEGAN)
    numbers = await leftovers.fence_numbers(databases)
    exact = await books.money(databases["payment"]) + await books.stock(databases["inventory"])
    first = _Look()
    async for batch in pictures(databases):
        for picture in batch:
            first.at(picture, Moment(began, bound), latest)
        advance(first.seen)
    loose = await _loose(databases, bound, numbers)
    found = persistent = first.findings + loose
    for _ in range(LOOKS if found or first.again else 0):
        await asyncio.sleep(between_s)
        look = await _again(databases, bound, latest, first.again)
        before = {(finding.check, finding.subject) for finding in found}
        found = look.findings + (await _loose(databases, bound, numbers) if loose else [])
        persistent = [finding for finding in found if (finding.check, finding.subject) in before]
        if not found and not look.again:
            break
    return Report([*exact, *persistent], first.seen)


async def _again(databases: Databases, bound: timedelta, latest: datetime, ids: set[UUID]) -> _Look:
    look = _Look()
    if ids:
        moment = Moment(await databases["order"].fetchval("select clock_timestamp()"), bound)
        async for batch in pictures(databases, sorted(ids)):
            for picture in batch:
                look.at(picture, moment, latest)
    return look


async def _loose(
    databases: Databases, bound: timedelta, numbers: dict[tuple[str, str], int]
) -> list[Finding]:
    return [
        *await leftovers.overdue(databases, bound),
        *await leftovers.keys(databases["order"], bound),
        *await leftovers.dead_letters(databases, bound),
        *await leftovers.fences(databases, numbers),
    ]
