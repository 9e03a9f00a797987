"""An operator's view of transactions in doubt, and what an operator may do about one.

In doubt is what a participant has prepared: it keeps its locks, and cannot know the end. The participants are
asked, all at once, for only they know what they hold; the log tells whose it is. One that the log does not
know is an orphan: its coordinator will never come, and the presumption is abort.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg
import msgspec

from orchestrator import transactions
from orchestrator.core.commit import Outcome, Phase
from orchestrator.core.commit_journal import ByHand, Seen
from orchestrator.participants import Participants
from services.contract.commit import PARTICIPANTS, Doubt, Resolution, Stranger
from services.runtime.database import Database
from services.runtime.problems import Problem

NO_ANSWER, TOO_LATE = "no answer: ask again", "not in doubt any more: nothing was done"


@dataclass(frozen=True, slots=True)
class Heard:
    """What each participant holds, by transaction; what others have prepared there; who did not answer."""

    by_transaction: Mapping[str, Mapping[str, Doubt]]
    strangers: Sequence[tuple[str, Stranger]]
    silent: Sequence[str]


class Doubts:
    """`listed` and `resolve` are what an operator asks of any orchestrator, whoever owns the transaction."""

    def __init__(self, name: str, database: Database, participants: Participants) -> None:
        self._name = name
        self._database = database
        self._participants = participants

    async def listed(self, most: int) -> dict[str, Any]:
        """All that is in doubt anywhere, what was prepared first at the head; and what is not the shop's."""
        heard = await self._ask_all()
        ids = list(heard.by_transaction)
        async with self._database.connection() as sql:
            known = {row["transaction_id"]: row for row in await sql.fetch(transactions.BY_IDS, ids)}
            wanted = await transactions.wanted(sql, ids)
        found = [
            {"transaction_id": id, **_of_log(known.get(id)), "wants": wanted.get(id, []), **_of(holders)}
            for id, holders in heard.by_transaction.items()
        ]
        found.sort(key=lambda doubt: -doubt["in_doubt_s"])
        strangers = [_of_stranger(*stranger) for stranger in heard.strangers]
        told = {"transactions": found[:most], "in_doubt": len(found), "strangers": strangers}
        return {**told, "silent": list(heard.silent)}

    async def resolve(
        self, id: str, outcome: Outcome, chosen: Sequence[str] | None, reason: str
    ) -> dict[str, Any]:
        """Ends transaction `id` at these participants, by default at all that hold it.

        Raises Problem 404 when nobody knows it, 409 when it is not in doubt there, or is decided otherwise.
        """
        heard = await self._ask_all()
        holders = heard.by_transaction.get(id, {})
        async with self._database.connection() as sql:
            row = next(iter(await sql.fetch(transactions.BY_IDS, [id])), None)
            names = tuple(name for name in PARTICIPANTS if name in (chosen or holders))
            _insist(id, row, names, holders, heard.silent, outcome)
            await transactions.note(sql, id, Seen(time.time(), self._name, ByHand(outcome, names, reason)))
        assert outcome
        resolution = Resolution(id, outcome, reason)
        answers = await asyncio.gather(*(self._participants.resolve(name, resolution) for name in names))
        heard_of = {name: told for name, told in zip(names, answers, strict=True) if told}
        states = {name: told.state for name, told in heard_of.items() if told.was_in_doubt}
        async with self._database.connection() as sql:
            done = ByHand(outcome, tuple(states), reason, tuple(states.values()))
            await transactions.note(sql, id, Seen(time.time(), self._name, done))
        told = {name: states.get(name, TOO_LATE if name in heard_of else NO_ANSWER) for name in names}
        return {"transaction_id": id, "outcome": outcome, "participants": told}

    async def _ask_all(self) -> Heard:
        answers = await asyncio.gather(*map(self._participants.doubts, PARTICIPANTS))
        told = {name: doubts for name, doubts in zip(PARTICIPANTS, answers, strict=True) if doubts}
        by_transaction: dict[str, dict[str, Doubt]] = defaultdict(dict)
        for name, doubts in told.items():
            for doubt in doubts.doubts:
                by_transaction[doubt.transaction][name] = doubt
        strangers = [(name, stranger) for name, doubts in told.items() for stranger in doubts.strangers]
        return Heard(by_transaction, strangers, [name for name in PARTICIPANTS if name not in told])


def _of_log(row: asyncpg.Record | None) -> dict[str, Any]:
    if row is None:
        return {"orphan": True}
    told = ("protocol", "epoch", "shard", "orders", "age_s")
    state = msgspec.json.decode(row["state"])
    decision = decision_of(row)
    return {
        "orphan": False,
        "phase": state["phase"],
        "decision": decision,
        **{name: row[name] for name in told},
    }


def _of(holders: Mapping[str, Doubt]) -> dict[str, Any]:
    """Whom they block are people who wait in the shop, and stand in line for a row of these tables."""
    told = {
        name: {
            "gid": doubt.gid,
            "prepared_s": doubt.prepared_s,
            "state": "pre-committed" if doubt.precommitted else "waiting",
            "tables": doubt.tables,
            "blocks": doubt.waiters,
        }
        for name, doubt in holders.items()
    }
    return {"in_doubt_s": max(doubt.prepared_s for doubt in holders.values()), "participants": told}


def _of_stranger(where: str, stranger: Stranger) -> dict[str, Any]:
    gid, prepared_s, tables, waiters = msgspec.structs.astuple(stranger)
    return {"participant": where, "gid": gid, "prepared_s": prepared_s, "tables": tables, "blocks": waiters}


def decision_of(row: asyncpg.Record) -> Literal["", "committed", "aborted"]:
    """What is durably decided. An abort before the end is not: its record is that there is none."""
    committing = msgspec.json.decode(row["state"])["phase"] == Phase.COMMITTING
    outcome: Literal["", "committed", "aborted"] = "committed" if committing else row["outcome"] or ""
    return outcome


def _insist(
    id: str,
    row: asyncpg.Record | None,
    names: Sequence[str],
    holders: Mapping[str, Doubt],
    silent: Sequence[str],
    outcome: str,
) -> None:
    if row is None and not holders and not silent:
        raise Problem(404, "unknown-transaction", "no transaction of this id is known, or in doubt")
    if row and (decision := decision_of(row)) not in ("", outcome):
        detail = f"it is decided: {decision}. Nobody has to guess: ask again with …/retry"
        raise Problem(409, "decided-otherwise", detail, transaction_id=id, decision=decision)
    if not names or (missing := [name for name in names if name not in holders]):
        quiet = f"; {' and '.join(silent)} did not answer" if silent else ""
        where = " and ".join(missing) if names else "any participant"
        detail = f"it is not in doubt at {where}{quiet}"
        raise Problem(409, "not-in-doubt", detail, transaction_id=id)
