"""At steps that stand for the rest, under load: whoever comes there is lost, or a Postgres is meanwhile.

`make chaos` does the same at other steps, and at all of them.
"""

import asyncio
import json
import os
import subprocess
import sys

import asyncpg
import pytest

from infra.native import Stack
from lab.crash.crash import crash
from lab.crash.rows import CHOSEN, PARTITION, Row
from lab.crash.view import line
from lab.state import Stack as Told
from lab.workload import CUSTOMERS
from tests.e2e.shopper import eventually, pause

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("seeded", "chaotic")]

ROBBED = f"customer-{CUSTOMERS:06d}"


@pytest.mark.parametrize("row", CHOSEN, ids=" ".join)
async def test_nothing_is_lost_at(
    native: Stack, told: Told, row: Row, capsys: pytest.CaptureFixture[str]
) -> None:
    result = await crash(native, told, row)
    assert result.wrong == []
    assert result.lost and result.acknowledged
    assert (result.split > 0) == (row.mode == PARTITION)
    with capsys.disabled():
        print(f"\n  {line(result)}", end="")  # noqa: T201 - what a reader wants


async def test_money_that_is_gone_afterwards_is_a_loss(native: Stack, told: Told) -> None:
    """The command says so, by its exit code, too."""
    row = Row("2pc", "payment@before-commit", "restart")
    words = ["-c", "from lab.cli import app; app()", *row.command.split()[1:], "--json"]
    crashing = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        env={**os.environ, "TRADEOFF_STATE": str(native.layout.state)},
        stdout=subprocess.PIPE,
    )
    await pause(2.0)
    await steal(told, 1)
    try:
        answer, _ = await crashing.communicate()
    finally:
        await steal(told, -1)
    result = json.loads(answer)
    assert crashing.returncode == 1
    assert any(ROBBED in words for words in result["wrong"]), result
    assert result["lost"] == "payment-1"


async def steal(told: Told, cents: int) -> None:
    sql = await asyncpg.connect(told.databases["payment"].owner)
    query = "UPDATE accounts SET balance = balance - $2 WHERE account_id = $1"

    async def done() -> bool:
        """A row of an order in doubt may be locked, and a process that dies may leave it so for a while."""
        return bool(await sql.execute(query, ROBBED, cents) == "UPDATE 1")

    try:
        await eventually(done, True)
    finally:
        await sql.close()
