"""At each step of each protocol, under load: whoever takes it dies, or a Postgres dies meanwhile.

`make storms` runs those that stand for the rest; `make chaos` each point with each protocol.
"""

import os
from collections.abc import Iterator

import httpx
import pytest

from infra.native import Stack
from lab.faults import Faults
from lab.state import Stack as Told
from services.chaos.points import ACTS, FORCED, OF_SAGAS, ORCHESTRATOR, WHEN
from services.contract.commit import PARTICIPANTS
from tests.chaos.losses import lose

PROTOCOLS = ("2pc", "2pc-group", "3pc")
DATABASES = tuple(f"pg-{name}" for name in (*PARTICIPANTS, ORCHESTRATOR))

OF_3PC = {"pre-commit", "pre-committing"}
PROVOKED = {"bury"}
"""Nobody comes there unless a message is lost, too; see `test_seams.py`."""

CHOSEN = [
    ("saga", "orchestrator@before-save:order.hold", ""),
    ("saga", "orchestrator@before-send:order.ship", ""),
    ("saga", "payment@after-send:order.charge", ""),
    ("saga", "order@before-save:cancel.close", ""),
    ("saga", "orchestrator@before-send:order.refund", "pg-payment"),
    ("2pc", "orchestrator@before-force:committing", ""),
    ("2pc", "orchestrator@after-force:committing", ""),
    ("2pc", "inventory@after-work", ""),
    ("2pc", "payment@before-commit", ""),
    ("2pc", "orchestrator@before-force:committing", "pg-orchestrator"),
    ("2pc", "orchestrator@after-force:committing", "pg-payment"),
    ("2pc-group", "payment@after-work", ""),
    ("2pc-group", "orchestrator@after-force:committing", "pg-order"),
    ("3pc", "orchestrator@after-force:pre-committing", ""),
    ("3pc", "orchestrator@before-force:committing", ""),
    ("3pc", "inventory@before-pre-commit", ""),
    ("3pc", "order@after-pre-commit", ""),
    ("3pc", "orchestrator@after-force:pre-committing", "pg-inventory"),
]


def all_of_them() -> Iterator[tuple[str, str, str]]:
    for protocol in PROTOCOLS:
        left_out = PROVOKED if protocol == "3pc" else PROVOKED | OF_3PC
        phases = [f"{when}-force:{phase}" for phase in FORCED if phase not in left_out for when in WHEN]
        acts = [f"{when}-{act}" for act in ACTS if act not in left_out for when in WHEN]
        yield from ((protocol, f"{ORCHESTRATOR}@{phase}", "") for phase in phases)
        yield from ((protocol, f"{role}@{act}", "") for role in PARTICIPANTS for act in acts)
        for phase in phases:
            yield from ((protocol, f"{ORCHESTRATOR}@{phase}", server) for server in DATABASES)
    for role, points in OF_SAGAS.items():
        yield from (("saga", f"{role}@{point}", "") for point in points)
    for point in OF_SAGAS[ORCHESTRATOR]:
        if point.startswith("before-send"):
            yield from (("saga", f"{ORCHESTRATOR}@{point}", server) for server in DATABASES)


CASES = list(all_of_them()) if os.environ.get("CHAOS_ALL") else CHOSEN

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("seeded")]


@pytest.mark.parametrize(("protocol", "at", "server"), CASES)
async def test_nothing_is_lost_at(
    chaotic: Stack,
    told: Told,
    faults: Faults,
    shop: httpx.AsyncClient,
    protocol: str,
    at: str,
    server: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cost = await lose(chaotic, told, faults, shop, protocol, at, server)
    who = f"{server} dies, held at" if server else "dies at"
    seen = f"in doubt {cost.in_doubt_s:.1f} s, recovered in {cost.recovery_s:.1f} s"
    with capsys.disabled():
        print(f"\n  {protocol:9} {who} {at}: {seen}; {cost.load}", end="")  # noqa: T201 - what a reader wants
