"""What customers were told while processes died holds; and where it would not, the audit says so."""

import asyncio
import os
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from infra.native import Stack
from lab.history import load
from tests.e2e import witness
from tests.e2e.shopper import eventually
from tests.e2e.test_command import tradeoff

pytestmark = pytest.mark.timeout(400)

LOAD = ("--orders", "1200", "--rate", "150", "--tries", "1", "--warm-up", "0", "--no-floor")
VICTIMS = {200: "order-1", 500: "inventory-1", 800: "orchestrator-1"}
"""Who is killed when so many requests have been answered."""


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("protocol", ["saga", "2pc-group"] if os.environ.get("STORMS_ALL") else ["2pc-group"])
async def test_what_was_told_while_processes_were_killed_holds(
    native: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], protocol: str
) -> None:
    file = tmp_path / "history"

    async def beyond(count: int) -> bool:
        return lines(file) > count

    bench = asyncio.create_task(
        tradeoff(native, "bench", "--protocol", protocol, *LOAD, "--history", str(file))
    )
    for count, victim in VICTIMS.items():
        await eventually(partial(beyond, count), True, within_s=90)
        native.supervisor.signal(victim, "KILL")
    _, result = await bench
    assert result["audit_violations"] == 0

    code, report = await tradeoff(native, "audit", "--history", str(file))
    assert (code, report["violations"], len(report["checks"])) == (0, 0, 16), report
    requests = report["requests"]
    assert sum(requests.values()) == 1200
    assert requests["ok"] > 600
    assert requests["unknown"] > 0, "somebody died with requests in his hands"
    killed = ", ".join(VICTIMS.values())
    witness.report(capsys, f"{protocol}, killed {killed}", f"requests {requests}, no violation")

    yes = next(line for told in load(file) for line in told.lines if line.status == 201)
    file.write_text(file.read_text().replace(str(yes.order_id), str(uuid4())))
    code, report = await tradeoff(native, "audit", "--history", str(file))
    assert code == 1
    broken = {check["name"]: check["examples"] for check in report["checks"] if check["violations"]}
    assert yes.key in broken["nothing-acknowledged-is-lost"][0]
