"""Wall clocks jump, each by itself, under load: by an hour ahead, a minute and a half back, and right again.

Messages and answers are lost all the while, and orchestrators die. So there is always something to be asked
again, taken over or adopted, and whoever's clock is believed for that is wrong in turn.
`make storms ALL=1` does it to each kind of part under each protocol.
"""

import asyncio
import os
from collections.abc import Iterator
from functools import partial

import asyncpg
import httpx
import pytest

from infra.native import Stack
from lab.at_rest import left_prepared
from lab.faults import Faults
from lab.state import SERVICES
from lab.state import Stack as Told
from services.contract.commit import PARTICIPANTS
from tests.chaos.clocks import Clocks, wrong_by_s
from tests.e2e.shopper import eventually, pause
from tests.e2e.witness import Witness, report

AHEAD_S, BACK_S = 3_700, -90
"""By more than the hour for which Kafka's default trusts a producer."""

JUMPS = ((AHEAD_S, BACK_S), (0, 0), (BACK_S, AHEAD_S), (0, 0))
"""Of every other part of a kind, and of its neighbours."""

RATE, EACH_S, INACCURATE_S = 50.0, 5.0, 10.0
SHARE_LOST, DIES = 0.03, "orchestrator-1"

KINDS = {
    "processes": tuple(f"{service}-{number}" for service in SERVICES for number in (1, 2)),
    "Postgres servers": tuple(f"pg-{service}" for service in SERVICES),
}
CHOSEN = [("saga", "processes"), ("3pc", "Postgres servers")]
ALL = [(protocol, kind) for protocol in ("saga", "2pc", "2pc-group", "3pc") for kind in KINDS]

LEFT = {
    "order": "SELECT count(*) FROM orders WHERE status IN ('PENDING', 'CANCELLING')",
    "payment": "SELECT 0",
    "inventory": "SELECT count(*) FROM holds WHERE state = 'held'",
    "orchestrator": """
        SELECT (SELECT count(*) FROM sagas WHERE running) + (SELECT count(*) FROM transactions WHERE running)
    """,
}
"""Whatever its date says: of an hour to come nothing looks old."""

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("seeded")]


@pytest.fixture(scope="module")
def clocks(native: Stack) -> Iterator[Clocks]:
    clocks = Clocks(layout=native.layout, environment={"CHAOS": "1"})
    clocks.put_right()
    clocks.up()
    yield clocks
    clocks.put_right()
    native.up()


@pytest.mark.parametrize(("protocol", "kind"), ALL if os.environ.get("STORMS_ALL") else CHOSEN)
async def test_clocks_that_jump_lose_nothing(
    clocks: Clocks, told: Told, capsys: pytest.CaptureFixture[str], protocol: str, kind: str
) -> None:
    with Faults(told) as faults:
        witness = Witness(told, RATE, EACH_S * len(JUMPS), protocol)
        for jump in JUMPS:
            for number, part in enumerate(KINDS[kind]):
                clocks.put(part, jump[number % 2])
                await eventually(partial(is_wrong_by, told, part, jump[number % 2]), True)
            await asyncio.to_thread(clocks.wait_ready, DIES)
            await asyncio.to_thread(lose, faults, protocol)
            await pause(EACH_S / 2)
            clocks.supervisor.signal(DIES, "KILL")
            await pause(EACH_S / 2)
        verdict = await witness.verdict()
    assert verdict.wrong == []
    assert await left_prepared(told) == []
    await eventually(partial(left, told), dict.fromkeys(SERVICES, 0))
    report(capsys, f"{protocol}, the clocks of all {kind} jumped", str(verdict))


async def is_wrong_by(told: Told, part: str, wanted_s: float) -> bool:
    """A process that has just died is not."""
    try:
        return abs(await wrong_by_s(told, part) - wanted_s) < INACCURATE_S
    except httpx.TransportError:
        return False


def lose(faults: Faults, protocol: str) -> None:
    """Some of what is said, for a saga by message, else by call."""
    often = {"times": None, "share": SHARE_LOST}
    if protocol == "saga":
        for role in SERVICES:
            faults.put(role, {"what": "drop-message", **often})
    else:
        calls = [{"what": "drop-answer", "to": role, **often} for role in PARTICIPANTS]
        faults.put("orchestrator", *calls)


async def left(told: Told) -> dict[str, int]:
    """What has not ended, and what has not been sent."""
    found = {}
    for service, query in LEFT.items():
        sql = await asyncpg.connect(told.databases[service].audit)
        unsent = await sql.fetchval("SELECT count(*) FROM outbox")
        found[service] = unsent + await sql.fetchval(query)
        await sql.close()
    return found
