"""A stack in which each process and each Postgres has a wall clock of its own, to be put wrong.

As a step of NTP, or a machine that was asleep, puts it: at once, while the monotonic clock goes on. It takes
libfaketime, preloaded into the part, which finds in a file how far wrong it is to be. The other servers'
clocks are left alone (Redis does not start with it), and so is the tests' own.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx

from infra.native import Stack
from infra.native.layout import write_private
from infra.native.machine import false_clock
from infra.native.parts import Part
from lab.state import Stack as Told


class Clocks(Stack):
    """The clocks go right until somebody puts them."""

    def parts(self) -> list[Part]:
        return [self._clocked(part) if _has_one(part) else part for part in super().parts()]

    def _clocked(self, part: Part) -> Part:
        preloaded = false_clock()
        assert preloaded, "no false clocks: `make storms` installs them"
        settings = {
            "LD_PRELOAD": str(preloaded),
            "FAKETIME_TIMESTAMP_FILE": str(self._file(part.name)),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
            "NO_FAKE_STAT": "1",
        }
        return replace(part, environment={**part.environment, **settings})

    def _file(self, part: str) -> Path:
        """Where a Postgres that runs as somebody else can read it."""
        return self.layout.postgres_data / f"{part}.clock"

    def put(self, part: str, by_s: int) -> None:
        """From now on the clock of this part goes wrong by so much."""
        write_private(self._file(part), f"{by_s:+d}s\n", 0o644)

    def put_right(self) -> None:
        for part in self.parts():
            if _has_one(part):
                self.put(part.name, 0)


def _has_one(part: Part) -> bool:
    return part.is_service or part.name.startswith("pg-")


async def wrong_by_s(told: Told, part: str) -> float:
    """By how much a part's clock is wrong, as it says itself. A process has to be one that takes faults."""
    if part.startswith("pg-"):
        sql = await asyncpg.connect(told.databases[part.removeprefix("pg-")].audit)
        shown = await sql.fetchval("SELECT clock_timestamp()")
        await sql.close()
    else:
        headers = {"Authorization": f"Bearer {told.operator_token}"}
        async with httpx.AsyncClient(headers=headers, trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{told.ports[part]}/faults")
        shown = datetime.fromtimestamp(answer.json()["now"], UTC)
    return float((shown - datetime.now(UTC)).total_seconds())
