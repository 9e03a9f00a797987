"""What containers do to a shop: they die, and they are replaced while customers order."""

import asyncio
import json
import os
import random
import secrets
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import httpx
import msgspec
import pytest

from lab.client import Answer, Load, Verdict
from lab.crash import table
from lab.crash.rows import ALONE, CHOSEN
from lab.shelf import RICH
from lab.state import SERVICES
from lab.stats import arrivals
from lab.workload import Orders, address
from tests.compose.project import DATABASES, ROOT, RUN, Project, docker
from tests.compose.test_compose_shop import PROTOCOLS
from tests.e2e.shopper import eventually, order, pause

pytestmark = pytest.mark.timeout(300)

VICTIMS = (*SERVICES, *SERVICES, *DATABASES, "kafka", "redis", "nginx")
STORM_S, PER_S, EVERY_S = 30, 10, 5.0

PATIENCE = 200
"""How often a customer repeats, every half second: a container may take a minute to come back."""


class Customers:
    """Orders by one protocol at a steady rate, and what was answered."""

    def __init__(self, project: Project, protocol: str, rate: float, seconds: float) -> None:
        stack, count = project.stack, int(rate * seconds)
        self._orders = Orders(stack, protocol, count, skew=0.0, wait_s=20, seed=1)
        self.answers: Counter[int] = Counter()
        self.acknowledged: set[str] = set()
        self.load = Load(*address(stack), count, self._orders.request, self._judge, 2000, most_tries=PATIENCE)
        self.ended = asyncio.create_task(
            self.load.open(arrivals(random.Random(1), rate, count, poisson=False))
        )

    def _judge(self, job: int, answer: Answer) -> Verdict:
        self.answers[answer.status] += 1
        if answer.status in (201, 202, 409) and b"order_id" in answer.body:
            self.acknowledged.add(str(msgspec.json.decode(answer.body)["order_id"]))
        return self._orders.judge(job, answer)

    @property
    def unanswered(self) -> int:
        """Those that no repetition with the same key has healed."""
        return sum(verdict == Verdict.FAILED for verdict in self.load.verdicts)


async def all_right(project: Project, customers: list[Customers], say: Callable[[str], None]) -> None:
    """Every request was answered in the end, every acknowledged order has ended, and no promise is broken."""
    await asyncio.gather(*(each.ended for each in customers))
    answers = sum((each.answers for each in customers), Counter[int]())
    retried = sum(each.load.retried for each in customers)
    acknowledged = set[str]().union(*(each.acknowledged for each in customers))
    count = sum(each.load.count for each in customers)
    failures = {status: number for status, number in sorted(answers.items()) if status >= 500}
    say(f"{count} orders, answers {dict(sorted(answers.items()))}, {retried} repeated, 5xx {failures or 0}")
    assert [each.unanswered for each in customers] == [0] * len(customers)
    ended: set[str] = set()
    async with httpx.AsyncClient(base_url=project.url, timeout=20, trust_env=False) as shop:

        async def left() -> int:
            for order_id in acknowledged - ended:
                told = (await shop.get(f"/orders/{order_id}")).json()
                if told.get("status") in ("CONFIRMED", "REFUSED", "CANCELLED"):
                    ended.add(order_id)
            return len(acknowledged - ended)

        await eventually(left, 0, within_s=90)
    report = json.loads(await asyncio.to_thread(project.run, "audit", "--json", check=False))
    assert report["violations"] == 0, report
    say(f"{len(acknowledged)} acknowledged, lost: 0, audit clean")


def kill(project: Project, container: str) -> None:
    """As a crash: nobody asked for it, so Docker starts it again. Who is not root has to do that."""
    pid = project.inspect(container)["State"]["Pid"]
    try:
        os.kill(pid, signal.SIGKILL)
    except (PermissionError, ProcessLookupError):
        docker("kill", container)
        docker("start", container)


async def test_containers_die_at_random_and_nothing_is_lost(
    project: Project, shop: httpx.AsyncClient, say: Callable[[str], None]
) -> None:
    seed = int(os.environ.get("COMPOSE_SEED") or secrets.randbelow(1_000_000))
    dice = random.Random(seed)
    project.run("seed")
    keys = {f'"{uuid4()}"': protocol for protocol in PROTOCOLS * 5}
    before = {key: await order(shop, RICH, {"teapot": 1}, key=key, protocol=p) for key, p in keys.items()}
    customers = [Customers(project, protocol, PER_S / len(PROTOCOLS), STORM_S) for protocol in PROTOCOLS]
    killed = []
    until = time.monotonic() + STORM_S - EVERY_S
    while time.monotonic() < until:
        await pause(EVERY_S * dice.uniform(0.5, 1.5))
        victim = dice.choice(VICTIMS)
        if running := await asyncio.to_thread(project.containers, victim):
            killed.append(victim)
            await asyncio.to_thread(kill, project, dice.choice(sorted(running)))
    say(f"COMPOSE_SEED={seed} killed: {', '.join(killed)}")
    await all_right(project, customers, say)
    for key, protocol in keys.items():
        again = await order(shop, RICH, {"teapot": 1}, key=key, protocol=protocol)
        assert (again.status_code, again.text) == (before[key].status_code, before[key].text)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_is_replaced_under_load_and_no_order_is_lost(
    project: Project, service: str, say: Callable[[str], None]
) -> None:
    customers = [Customers(project, protocol, PER_S, 15) for protocol in ("saga", "2pc")]
    before = set(project.containers(service))
    roll = ["infra/compose/roll.sh", service]
    environment = {**os.environ, **project.settings}
    done = await asyncio.to_thread(
        subprocess.run, roll, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    after = set(project.containers(service))
    assert len(after) == len(before) == 2 and not after & before
    say(f"replaced both replicas of {service}")
    await all_right(project, customers, say)


def test_who_comes_to_a_step_dies_there_and_nothing_is_lost(
    project: Project, tmp_path: Path, say: Callable[[str], None]
) -> None:
    """The rows of the table in which a process dies by itself; Docker starts it again."""
    project.up("--no-build", CHAOS="1")
    tmp_path.chmod(0o777)
    chaos = ("tradeoff", "chaos", "--out", "/reports")
    say(project.compose(*RUN, "-v", f"{tmp_path}:/reports", *chaos, check=False))
    rows = table.read(tmp_path / table.RESULT).rows
    assert {one.row for one in rows} == {row for row in CHOSEN if row.mode == ALONE}
    assert all(one.lost and one.acknowledged for one in rows)
    assert [one for one in rows if one.wrong] == []
    assert (tmp_path / table.PAGE).exists()


async def test_who_sends_too_much_is_told_so(project: Project) -> None:
    """The last of all: nginx is started anew with a rate that a test can exceed."""
    project.up("--no-deps", "--no-build", "nginx", REQUESTS_PER_S="5")
    async with httpx.AsyncClient(base_url=project.url, trust_env=False) as shop:
        answers = await asyncio.gather(*(shop.get("/products/teapot") for _ in range(40)))
    assert {answer.status_code for answer in answers} == {200, 429}
    [told, *_] = [answer for answer in answers if answer.status_code == 429]
    assert told.headers["content-type"] == "application/problem+json"
    assert int(told.headers["retry-after"]) >= 1 and told.json()["status"] == 429
