"""At steps that stand for the rest, under load: whoever comes there is lost, or a Postgres is meanwhile.

`make chaos` does the same at other steps, and at all of them.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from infra.native import Stack
from lab.crash import table
from lab.crash.rows import CHOSEN, PARTITION, Row
from lab.crash.view import line
from lab.state import Stack as Told
from lab.workload import CUSTOMERS
from tests.e2e.shopper import eventually, pause

ROBBED = f"customer-{CUSTOMERS:06d}"
TRADEOFF = [sys.executable, "-m", "lab.cli"]
LEFT_TO_ALL = {
    "orchestrator@before-save:order.hold",
    "inventory@before-save:order.hold",
    "order@before-save:cancel.close",
    "inventory@after-work",
    "payment@before-commit",
    "inventory@before-pre-commit",
    "order@after-pre-commit",
}
"""Steps whose neighbours are in the table anyhow, by the same protocol and in the same mode."""


@pytest.mark.timeout(600)
async def test_nothing_is_lost_at_any_chosen_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On two stacks of the command's own, which share the rows."""
    chosen = {row for row in CHOSEN if os.environ.get("STORMS_ALL") or row.at not in LEFT_TO_ALL}
    points = ",".join({row.at for row in chosen})
    command = [*TRADEOFF, "chaos", "--own", "--stacks", "2", "--points", points, "--out", str(tmp_path)]
    chaos = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    said, _ = await chaos.communicate()
    assert chaos.returncode == 0, said.decode()
    rows = table.read(tmp_path / table.RESULT).rows
    assert {one.row for one in rows} == chosen and len(rows) == len(chosen)
    for one in rows:
        assert one.lost and one.acknowledged and not one.wrong
        assert one.split if one.mode == PARTITION else one.row.may_split or not one.split
        with capsys.disabled():
            print(f"\n  {line(one)}", end="")  # noqa: T201 - what a reader wants
    assert "No row lost anything." in (tmp_path / table.PAGE).read_text()


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("seeded", "chaotic")
async def test_money_that_is_gone_afterwards_is_a_loss(native: Stack, told: Told) -> None:
    """The command says so, by its exit code, too."""
    row = Row("2pc", "payment@before-commit", "restart")
    crashing = await asyncio.create_subprocess_exec(
        *TRADEOFF,
        *row.command.split()[1:],
        "--json",
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
