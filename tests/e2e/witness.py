"""Orders at a steady rate, and a history of everything that was asked and answered."""

import asyncio
import random
import time
from uuid import UUID

import asyncpg

from lab.audit.run import audit_stack
from lab.client import Answer, Load, Verdict
from lab.history import Line, Recorder, told
from lab.state import Stack
from lab.stats import arrivals
from lab.workload import Orders, address
from tests.e2e.shopper import pause

# Also those that were acknowledged and do not exist.
NOT_ENDED = """
    SELECT a.order_id FROM unnest($1::uuid[]) AS a (order_id) LEFT JOIN orders o USING (order_id)
    WHERE o.status IS NULL OR o.status NOT IN ('CONFIRMED', 'REFUSED', 'CANCELLED')
"""


class Witness:
    """Offers `rate` orders a second for `seconds`, whatever the shop does, and retries with the same key."""

    def __init__(self, stack: Stack, rate: float, seconds: float, protocol: str = "saga") -> None:
        count = int(rate * seconds)
        self._stack = stack
        self._orders = Orders(stack, protocol, count, skew=0.0, wait_s=20, seed=1)
        self._lines: list[Line] = []
        self._recorder = Recorder(self._orders, self._lines.append)
        self.strange: list[str] = []
        self.load = Load(
            *address(stack),
            count,
            self._orders.request,
            self._judge,
            connections=4000,
            record=self._record,
        )
        starts = arrivals(random.Random(1), rate, count, poisson=False)
        self._sending = asyncio.create_task(self.load.open(starts))

    def _record(self, job: int, sent: float, answer: Answer | None) -> None:
        self._recorder.placed(job, self.load.began[job], sent, answer)

    def _judge(self, job: int, answer: Answer) -> Verdict:
        named = answer.status in (201, 202, 409) and b"order_id" in answer.body
        if not named and answer.status not in (429, 502, 503, 504):
            self.strange.append(f"{answer.status} {answer.body[:200]!r}")
        return self._orders.judge(job, answer)

    async def verdict(self, within_s: float = 120.0) -> str:
        """Waits for the last answer and for every acknowledged order to end, and audits.

        Fails when an answer was strange, a request was never answered, an order did not end, a promise was
        broken, or what was answered is not so; returns a line of figures.
        """
        await self._sending
        assert self.strange == []
        unanswered = [n for n, verdict in enumerate(self.load.verdicts) if verdict == Verdict.FAILED]
        assert unanswered == [], f"{len(unanswered)} of {self.load.count} were never answered"
        history = told(self._lines)
        acknowledged = [id for one in history for id in one.acknowledged]
        slowest = await self._all_ended(acknowledged, within_s)
        report = await audit_stack(self._stack, 60.0, history)
        assert report.violations == 0, report.as_json()
        assert report.orders >= len(acknowledged) > 0
        return (
            f"{len(acknowledged)} orders acknowledged, {self.load.retried} requests repeated, "
            f"all ended {slowest:.1f} s after the last answer, audit clean"
        )

    async def _all_ended(self, acknowledged: list[UUID], within_s: float) -> float:
        began = time.monotonic()
        sql = await asyncpg.connect(self._stack.databases["order"].audit)
        try:
            while left := await sql.fetch(NOT_ENDED, acknowledged):
                examples = [str(row["order_id"]) for row in left[:3]]
                assert time.monotonic() - began < within_s, f"{len(left)} never ended, such as {examples}"
                await pause(0.2)
        finally:
            await sql.close()
        return time.monotonic() - began
