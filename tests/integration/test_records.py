"""What is noted of pre-commits, together: each for its own round, and never an older one over a newer."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from infra.native import Stack
from orchestrator.core.exchange import Round
from services.commit.records import Note, Records
from services.runtime.ids import uuid7
from tests.integration.commits import EPOCH, Desk, buy, desk, new_stock, prepare

FIRST, SECOND = Round(EPOCH, 1), Round(EPOCH, 2)


@pytest.fixture
async def inventory(native: Stack) -> AsyncIterator[Desk]:
    async with desk(native, "inventory") as opened:
        yield opened


@pytest.fixture
def records(inventory: Desk) -> Records:
    return Records(inventory.database)


async def prepared(inventory: Desk) -> Note:
    """A transaction, as it might be noted in its round."""
    sku, transaction = await new_stock(inventory, 5), uuid7()
    await inventory.ask(prepare(transaction, buy({sku: 1})))
    [gid] = await inventory.prepared(transaction)
    return Note(transaction, FIRST, gid)


async def test_those_who_note_at_the_same_time_share_a_commit(inventory: Desk, records: Records) -> None:
    notes = [await prepared(inventory) for _ in range(5)]
    await asyncio.gather(*map(records.note, notes), records.note(notes[0]))
    known = await asyncio.gather(*(records.read_one(note.id) for note in notes))
    assert [one.branch.precommitted for one in known] == [FIRST] * len(notes)
    query = "SELECT count(DISTINCT xmin::text) FROM precommits WHERE transaction_id = ANY($1::uuid[])"
    assert await inventory.fetch(query, [note.id for note in notes]) == [(1,)]


async def test_nothing_is_noted_of_what_is_not_prepared(inventory: Desk, records: Records) -> None:
    note = await prepared(inventory)
    await asyncio.gather(records.note(note._replace(id=uuid7(), gid="2pc:nobody/1/1")), records.note(note))
    await inventory.say("abort", note.id)
    await records.note(note)
    assert (await records.read_one(note.id)).branch.prepared is None


async def test_a_late_note_leaves_a_newer_one_alone(inventory: Desk, records: Records) -> None:
    """Its statement began when its round was prepared, and waited for a row of another transaction."""
    note = await prepared(inventory)
    newer = "INSERT INTO precommits VALUES ($1::uuid, $2, $3) RETURNING number"
    await inventory.fetch(newer, note.id, *SECOND)
    await records.note(note)
    assert (await records.read_one(note.id)).branch.precommitted == SECOND
