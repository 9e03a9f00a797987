"""What janitors forget, and what they keep."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from lab.audit import promises
from lab.audit.run import audit
from lab.databases import Databases
from services.contract import topics
from services.contract.retention import DAY_S, TOPIC_SETTINGS
from services.retention import chores, needed
from services.runtime import janitor
from services.runtime.database import Database
from services.runtime.idempotency import EXPIRES_AFTER_S
from services.runtime.ids import uuid7
from tests.e2e.shopper import eventually
from tests.integration import janitors
from tests.integration.ages import OLD_S, PARTICIPANTS, YOUNG_S, Ages
from tests.integration.damages import ORDER as HEALTHY

BOUND_S = 30.0
INBOX = {"subject": chores.FIRST, "step": ""}


@pytest.fixture
async def ages(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ages]:
    """Chores that do so little at a time that they need many rounds, and begin anew at once."""
    monkeypatch.setattr(chores, "AT_ONCE", 2)
    monkeypatch.setattr(chores, "PAGES_AT_ONCE", 1)
    monkeypatch.setattr(chores, "REST_S", 0.0)
    monkeypatch.setattr(chores, "ASK_AGAIN_S", 0.0)
    found = Ages(databases)
    await found.prepare()
    yield found


async def test_expired_keys_are_forgotten_and_no_others(ages: Ages) -> None:
    old = [await ages.order(EXPIRES_AFTER_S + 1) for _ in range(3)]
    waiting = await ages.order(OLD_S, "PENDING")
    cancelling = await ages.order(OLD_S, "CANCELLING")
    young = await ages.order(EXPIRES_AFTER_S - 60)
    await ages.forget("order", rounds=5)
    left = await ages.left("order", "idempotency")
    assert left == {HEALTHY, waiting, cancelling, young} and not left & {*old}


async def test_a_table_is_gone_through_a_few_pages_at_a_time(ages: Ages) -> None:
    insert = """
        INSERT INTO idempotency (id, fingerprint, body, created_at)
        SELECT id, '', repeat('x', 1000), now() - interval '2 days' FROM unnest($1::uuid[]) AS id
    """
    sql = ages.databases["payment"]
    await sql.execute(insert, [uuid4() for _ in range(50)])
    chore, counts = chores.PageByPage("idempotency", EXPIRES_AFTER_S), [50]
    pages = "SELECT pg_relation_size('idempotency') / current_setting('block_size')::int"
    for _ in range(await sql.fetchval(pages)):
        await chore(sql)
        counts.append(await sql.fetchval("SELECT count(*) FROM idempotency"))
        assert counts[-2] - counts[-1] <= 8, "of a kilobyte each, eight are a page"
    assert counts[-1] == 0


async def test_what_has_more_to_do_goes_on_within_the_round(
    stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what has not, does not."""
    database = Database(stack["databases"]["payment"]["owner"])
    monkeypatch.setattr(janitor, "EVERY_S", 1.0)
    monkeypatch.setattr(janitor, "BREATH_S", 0.01)
    done: list[str] = []

    async def long(_: object) -> bool:
        done.append("long")
        return done.count("long") % 10 > 0

    async def short(_: object) -> bool:
        done.append("short")
        return False

    async def has_gone_twice() -> bool:
        return len(done) >= 22

    async with janitors.at_work(stack, database, long, short):
        await eventually(has_gone_twice, True)
    await database.close()
    assert done[:22] == ["long", "short", *["long"] * 9] * 2


async def test_needs_are_asked_for_no_more_often_than_they_change(ages: Ages) -> None:
    asked: list[UUID] = []

    class Counting(needed.Asking):
        async def since(self, first: UUID) -> needed.Needed:
            asked.append(first)
            return needed.Needed((), None)

    async with httpx.AsyncClient() as client:
        chore = chores.Sweep("inbox", INBOX, "created_at", Counting(client, "", ""))
        old = sorted([await ages.saga(OLD_S + n, OLD_S) for n in range(5)])
        sql = ages.databases["payment"]
        while await chore(sql):
            pass
        assert asked == [chores.FIRST] and not await ages.left("payment", "inbox") & {*old}
        await ages.saga(OLD_S, OLD_S)
        assert await chore(sql) and len(asked) == 2, "begins anew, and asks anew"


async def test_sagas_that_ended_long_ago_are_forgotten_in_small_batches(ages: Ages) -> None:
    old = {await ages.saga(OLD_S + n, OLD_S) for n in range(5)}
    sagas, *_ = ages.chores("orchestrator")
    before = await ages.left("orchestrator", "sagas")
    for _ in range(4):
        await sagas(ages.databases["orchestrator"])
        after = await ages.left("orchestrator", "sagas")
        assert len(before - after) <= chores.AT_ONCE
        before = after
    assert not before & old


async def test_what_has_not_ended_or_lately_stays_however_old_it_is(ages: Ages) -> None:
    old = {await ages.saga(OLD_S + n, OLD_S) for n in range(3)}
    kept = {
        await ages.saga(OLD_S, None, "PENDING"),  # runs
        await ages.saga(OLD_S, OLD_S, "PENDING"),  # ended, and its last word was lost
        await ages.saga(OLD_S, OLD_S, "CANCELLING"),
        await ages.saga(OLD_S, YOUNG_S),  # ended lately: messages of it may still come
        await ages.saga(YOUNG_S, YOUNG_S),
        HEALTHY,
    }
    await ages.forget(*PARTICIPANTS)
    for name in PARTICIPANTS:
        assert await ages.left(name, "inbox") == old | kept, "the orchestrator knows them all"
    await ages.forget("orchestrator", *PARTICIPANTS)
    assert await ages.left("orchestrator", "sagas") == kept
    for name in PARTICIPANTS:
        assert await ages.left(name, "inbox") == kept


async def test_so_it_is_with_commits(ages: Ages) -> None:
    async def orders(age_s: float, *statuses: str) -> list[UUID]:
        return [await ages.order(age_s, status, "2pc") for status in statuses]

    for _ in range(3):
        await ages.commit(OLD_S, OLD_S, *await orders(OLD_S, "CONFIRMED", "CONFIRMED"))
    kept = {
        await ages.commit(OLD_S, None, *await orders(OLD_S, "PENDING")),
        await ages.commit(OLD_S, OLD_S, *await orders(OLD_S, "CONFIRMED", "PENDING")),
        await ages.commit(OLD_S, OLD_S, *await orders(OLD_S, "CANCELLING")),
        await ages.commit(OLD_S, OLD_S, *await orders(OLD_S, "CONFIRMED"), mixed=("payment",)),
        await ages.commit(OLD_S, YOUNG_S, *await orders(OLD_S, "CONFIRMED")),
        await ages.commit(YOUNG_S, YOUNG_S, *await orders(YOUNG_S, "CONFIRMED")),
    }
    await ages.forget("orchestrator", *PARTICIPANTS)
    assert await ages.left("orchestrator", "transactions") == kept
    assert len(await ages.left("orchestrator", "transaction_orders")) == len(kept) + 1
    for name in PARTICIPANTS:
        assert await ages.left(name, "branches") == kept
        assert await ages.left(name, "precommits") == kept


async def test_beyond_the_last_id_that_fits_in_an_answer_nothing_is_forgotten(
    ages: Ages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needed, "MOST", 2)
    first = await ages.saga(OLD_S + 60, OLD_S)
    stuck = {await ages.saga(OLD_S + 50 - n, None, "PENDING") for n in range(2)}
    last = await ages.saga(OLD_S, OLD_S)
    await ages.forget("orchestrator", *PARTICIPANTS)
    assert await ages.left("orchestrator", "sagas") == {*stuck, last, HEALTHY}
    for name in PARTICIPANTS:
        assert await ages.left(name, "inbox") == {*stuck, last, HEALTHY}, first


async def test_who_gets_no_answer_forgets_nothing(ages: Ages) -> None:
    nobody = httpx.AsyncClient(
        base_url="http://inside", transport=httpx.MockTransport(lambda _: httpx.Response(503))
    )
    old = await ages.order(OLD_S)
    await ages.databases["payment"].execute(
        "INSERT INTO inbox VALUES ($1, 'order.charge', 'done', '', '', now() - interval '30 days')", old
    )
    for chore in chores.of_participant(nobody, ""):
        await chore(ages.databases["payment"])
    assert await ages.left("payment", "inbox") == {HEALTHY, old}


async def test_the_audit_misses_nothing_that_was_forgotten_and_everything_else(ages: Ages) -> None:
    old = {await ages.saga(OLD_S + n, OLD_S) for n in range(3)}
    young = await ages.saga(YOUNG_S, YOUNG_S)
    bought = await ages.order(OLD_S, protocol="2pc")
    await ages.commit(OLD_S, OLD_S, bought)
    await ages.forget("orchestrator", *PARTICIPANTS)
    assert not await ages.left("inventory", "inbox") & old
    report = await audit(ages.databases, BOUND_S, between_s=0.01)
    assert (list(report.findings), report.orders) == ([], 6)

    await ages.databases["inventory"].execute("DELETE FROM inbox WHERE subject = $1", young)
    await ages.databases["orchestrator"].execute("DELETE FROM sagas WHERE order_id = $1", young)
    found = (await audit(ages.databases, BOUND_S, between_s=0.01)).findings
    assert {(one.check, one.subject) for one in found} == {
        (promises.REPLAY, str(young)),
        (promises.ENDS, str(young)),
    }


async def test_services_answer_one_another_and_nobody_else(
    stack: dict[str, Any], inside: httpx.AsyncClient
) -> None:
    first = UUID(uuid7())
    for service in ("order", "orchestrator"):
        asking = needed.Asking(inside, service, stack["participant_token"])
        assert (await asking.since(first)).ids == ()
        path = f"/{service}{needed.PATH}"
        token = {"Authorization": f"Bearer {stack['participant_token']}"}
        assert (await inside.get(path, params={"first": str(first)})).status_code == 401
        assert (await inside.get(path, params={"first": "x"}, headers=token)).status_code == 422


async def test_an_order_whose_journal_is_forgotten_says_so(
    stack: dict[str, Any], shop: httpx.AsyncClient
) -> None:
    insert = """
        INSERT INTO orders (order_id, customer_id, protocol, status, amount, currency, request_id, ended_at,
                            created_at)
        VALUES ($1, 'nobody-there', 'saga', 'CONFIRMED', 0, 'EUR', $1, now() - make_interval(secs => $2),
                now() - make_interval(secs => $2))
    """
    old, young = UUID(uuid7()), UUID(uuid7())
    sql = await asyncpg.connect(stack["databases"]["order"]["owner"])
    try:
        for id, age_s in ((old, OLD_S), (young, DAY_S)):
            await sql.execute(insert, id, age_s)
        told = [(await shop.get(f"/orders/{id}/trace")).json() for id in (old, young)]
    finally:
        await sql.execute("DELETE FROM orders WHERE customer_id = 'nobody-there'")
        await sql.close()
    assert [trace["entries"] for trace in told] == [[], []]
    assert "forgotten 10 days after" in told[0]["note"]
    assert "ask for one" in told[1]["note"]


async def test_kafka_keeps_messages_for_less_than_what_dedupes_them(stack: dict[str, Any]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack["kafka"])
    await admin.start()
    try:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics.ALL]
        [answer] = await admin.describe_configs(asked)
    finally:
        await admin.close()
    for _, _, _, name, settings in answer.resources:
        found = {setting[0]: setting[1] for setting in settings}
        assert {key: found[key] for key in TOPIC_SETTINGS} == TOPIC_SETTINGS, name
        assert found["cleanup.policy"] == "delete", "what is compacted stays for ever"
    assert len(answer.resources) == len(topics.ALL)
