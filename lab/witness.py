"""Orders at a steady rate whatever the shop does, all that was asked and answered, and a verdict."""

import asyncio
import random
import time
from typing import NamedTuple
from uuid import UUID

import asyncpg

from lab.audit.promises import Finding
from lab.audit.run import audit_stack
from lab.client import Answer, Load, Verdict
from lab.history import Line, Recorder, Told, told
from lab.state import Stack
from lab.stats import arrivals, slices
from lab.workload import BUSY, Orders, address

BOUND_S = 60.0
"""How long an order may take before the audit calls it lost."""

SLICE_S = 0.5

# Also those that were acknowledged and do not exist.
NOT_ENDED = """
    SELECT a.order_id FROM unnest($1::uuid[]) AS a (order_id) LEFT JOIN orders o USING (order_id)
    WHERE o.status IS NULL OR o.status NOT IN ('CONFIRMED', 'REFUSED', 'CANCELLED')
"""


class Seen(NamedTuple):
    acknowledged: int
    repeated: int
    """Requests that were sent again, with the same key."""

    slowest_s: float
    """From the last answer until the last order had ended."""

    strange: list[str]
    """Answers that make no sense, requests that were never answered, orders that did not end."""

    findings: list[Finding]
    """Of the audit: broken promises."""

    history: list[Told]
    timeline: list[int]
    """How many orders were answered for good in each `SLICE_S` since the first."""

    @property
    def wrong(self) -> list[str]:
        return self.strange + self.broken

    @property
    def broken(self) -> list[str]:
        return sorted({finding.words for finding in self.findings})

    def __str__(self) -> str:
        return (
            f"{self.acknowledged} orders acknowledged, {self.repeated} requests repeated, "
            f"all ended {self.slowest_s:.1f} s after the last answer, "
            + ("; ".join(self.wrong) if self.wrong else "audit clean")
        )


class Witness:
    """Offers `rate` orders a second for `seconds`, and repeats with the same key what gets no answer."""

    def __init__(self, stack: Stack, rate: float, seconds: float, protocol: str = "saga") -> None:
        count = int(rate * seconds)
        self._stack = stack
        self._orders = Orders(stack, protocol, count, skew=0.0, wait_s=20, seed=1)
        self._lines: list[Line] = []
        self._recorder = Recorder(self._orders, self._lines.append)
        self._strange: list[str] = []
        self._load = Load(
            *address(stack),
            count,
            self._orders.request,
            self._judge,
            connections=4000,
            record=self._record,
        )
        starts = arrivals(random.Random(1), rate, count, poisson=False)
        self._sending = asyncio.create_task(self._load.open(starts))

    def _record(self, job: int, sent: float, answer: Answer | None) -> None:
        self._recorder.placed(job, self._load.began[job], sent, answer)

    def _judge(self, job: int, answer: Answer) -> Verdict:
        named = answer.status in (201, 202, 409) and b"order_id" in answer.body
        if not named and answer.status not in BUSY:
            self._strange.append(f"answered {answer.status} {answer.body[:200]!r}")
        return self._orders.judge(job, answer)

    async def verdict(self, within_s: float = 120.0) -> Seen:
        """Waits for the last answer, and for every acknowledged order to end; audits with the history."""
        await self._sending
        strange = self._strange[:3]
        unanswered = sum(verdict == Verdict.FAILED for verdict in self._load.verdicts)
        if unanswered:
            strange.append(f"{unanswered} of {self._load.count} requests were never answered")
        history = told(self._lines)
        acknowledged = [id for one in history for id in one.acknowledged]
        slowest, left = await self._all_ended(acknowledged, within_s)
        if left:
            strange.append(f"{len(left)} orders never ended, such as {left[0]}")
        report = await audit_stack(self._stack, BOUND_S, history)
        if not acknowledged or report.orders < len(acknowledged):
            strange.append(f"{len(acknowledged)} orders acknowledged, and the audit saw {report.orders}")
        findings, timeline = list(report.findings), self._timeline()
        return Seen(len(acknowledged), self._load.retried, slowest, strange, findings, history, timeline)

    def _timeline(self) -> list[int]:
        load = self._load
        final = (n for n in range(load.count) if load.verdicts[n] in (Verdict.CONFIRMED, Verdict.REFUSED))
        return slices([load.ended[n] - min(load.began) for n in final], SLICE_S)

    async def _all_ended(self, acknowledged: list[UUID], within_s: float) -> tuple[float, list[UUID]]:
        """How long that took, and those that have not."""
        began = time.monotonic()
        sql = await asyncpg.connect(self._stack.databases["order"].audit)
        try:
            while left := await sql.fetch(NOT_ENDED, acknowledged):
                if time.monotonic() - began > within_s:
                    break
                await asyncio.sleep(0.2)
        finally:
            await sql.close()
        return time.monotonic() - began, [row["order_id"] for row in left]
