"""Each promise of the audit, broken once on purpose in real Postgres: the audit names it, and the culprit.

Everything is planted in transactions that are rolled back, in databases where nothing else is.
"""

import pytest

from lab import state
from lab.audit import promises
from lab.audit.run import Report, audit
from lab.databases import Databases, connected
from tests.integration.damages import DAMAGES, FREE_CHECKS, ORDER, SET_ORDER, filled

BOUND_S = 30.0


async def report_after(databases: Databases, database: str, statement: str) -> Report:
    if database == "orchestrator":
        fence = "insert into fences (name, number) values ('shard:{shard}', 1) on conflict do nothing"
        await databases[database].execute(filled(fence))
    # The database itself would refuse much of this, as it should; the audit must not rely on that.
    await databases[database].execute(FREE_CHECKS)
    await databases[database].execute(filled(statement))
    return await audit(databases, BOUND_S, between_s=0.01)


@pytest.mark.asyncio
async def test_nothing_is_wrong_with_a_confirmed_order(databases: Databases) -> None:
    assert list((await audit(databases, BOUND_S, between_s=0.01)).findings) == []


@pytest.mark.asyncio
@pytest.mark.parametrize(("check", "words", "database", "statement"), DAMAGES, ids=lambda v: v[:40])
async def test_damage_is_found(
    databases: Databases, check: str, words: str, database: str, statement: str
) -> None:
    report = await report_after(databases, database, statement)
    assert [f for f in report.findings if f.check == check and words in f.words], report.findings
    told = {entry["name"]: entry for entry in report.as_json()["checks"]}
    assert told[check]["violations"] >= 1
    assert told[check]["examples"]


@pytest.mark.asyncio
async def test_a_dead_letter_in_two_databases_is_found(databases: Databases) -> None:
    letter = """insert into dead_letters (topic, "partition", "offset", reason, key, payload)
                values ('order.commands', 0, 7, 'broken', '{order}', '')"""
    await databases["payment"].execute(filled(letter))
    report = await report_after(databases, "order", letter)
    assert [f.check for f in report.findings] == [promises.DEAD]
    assert "order and payment" in report.findings[0].words


@pytest.mark.asyncio
async def test_an_order_stuck_behind_a_dead_letter_is_found(databases: Databases) -> None:
    letter = """insert into dead_letters (topic, "partition", "offset", reason, key, payload)
                values ('order.commands', 0, 7, 'broken', '{order}', '')"""
    await databases["payment"].execute(filled(letter))
    report = await report_after(databases, "order", filled(SET_ORDER("status = 'PENDING', ended_at = null")))
    words = [f.words for f in report.findings if f.check == promises.DEAD]
    assert words == [f"order {ORDER} is PENDING for ever, its message is a dead letter: broken"]


@pytest.mark.asyncio
async def test_an_old_prepared_transaction_is_found(databases: Databases, quiet: state.Stack) -> None:
    async with connected(quiet, ["payment"], "owner") as other:
        await other["payment"].execute("begin; select txid_current(); prepare transaction 'audit-test'")
        try:
            report = await audit(databases, 0.0, between_s=0.01)
        finally:
            await other["payment"].execute("rollback prepared 'audit-test'")
    assert [f for f in report.findings if "'audit-test' is prepared in payment" in f.words]


@pytest.mark.asyncio
async def test_an_order_in_flight_is_no_violation(databases: Databases) -> None:
    """Charged and held, not shipped, not confirmed, and young: a saga at work."""
    await databases["order"].execute(
        filled(SET_ORDER("status = 'PENDING', ended_at = null, created_at = now() - interval '1 s'"))
    )
    await databases["order"].execute(filled("delete from inbox where subject = '{order}'"))
    await databases["order"].execute(filled("update idempotency set status = null where subject = '{order}'"))
    await databases["inventory"].execute("update holds set state = 'held' where sku = 'xts-lamp'")
    await databases["inventory"].execute("update stock set held = 2, sold = 0 where sku = 'xts-lamp'")
    await databases["inventory"].execute(
        filled("delete from inbox where subject = '{order}' and step = 'order.ship'")
    )
    await databases["orchestrator"].execute(
        filled(
            "update sagas set running = true, ended_at = null, outcome = null, started_at = now()"
            " where order_id = '{order}'"
        )
    )
    assert list((await audit(databases, BOUND_S, between_s=0.01)).findings) == []


SPLIT = """insert into transactions
    (transaction_id, protocol, shard, epoch, running, state, works, traceparent, log, started_at, ended_at,
    outcome) values ('{request}', '2pc', {shard}, 1, false,
    '{{"orders": ["{order}"], "mixed": ["inventory"]}}', '', '', '', {ago}, {ago}, 'committed')"""
CLAIM = """insert into transaction_orders (order_id, kind, transaction_id)
    values ('{order}', 'buy', '{request}')"""
HAND = "insert into heuristics (transaction_id, outcome, reason, found) values ('{request}', '%s', 'why', %s)"


@pytest.mark.asyncio
@pytest.mark.parametrize("found", ["'aborted'", "null"], ids=["done", "died-before-it-could-say"])
async def test_who_split_an_order_by_hand_is_named(databases: Databases, found: str) -> None:
    await databases["orchestrator"].execute(filled("delete from sagas"))
    await databases["orchestrator"].execute(filled(SPLIT))
    await databases["orchestrator"].execute(filled(CLAIM))
    for table in ("holds", "inbox", "heuristics"):
        await databases["inventory"].execute(f"delete from {table}")
    await databases["payment"].execute(filled(HAND % ("committed", "'committed'")))  # as the coordinator
    report = await report_after(databases, "inventory", HAND % ("aborted", found))
    hand = "inventory aborted it; at inventory an operator decided: aborted (why)"
    words = f"order {ORDER} was split by hand: order and payment committed it, {hand}"
    assert words in [f.words for f in report.findings if f.check == promises.PAID]
