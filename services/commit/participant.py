"""A participant of two- and three-phase commit, with Postgres's own prepared transactions.

What is to be done, `orchestrator.core.participant` decides; this reads what is durable, and does it. An
act may find that another replica was quicker: it changes nothing then, what is durable is read again, and
the next decision is asked for. So of two that do the same at once, both give the same answer.

A prepared transaction keeps its locks until somebody decides, which may be never. So no lock is waited for
longer than `LOCK_WAIT_S`, and those who decide never wait for a connection behind those who wait for locks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar, assert_never

import asyncpg
import structlog

from orchestrator.core import participant as core
from orchestrator.core.exchange import (
    Acked,
    Answer,
    Commit,
    PreCommit,
    Prepare,
    Refusal,
    Request,
    Round,
    State,
    Voted,
)
from orchestrator.core.participant import Act, Branch, Verb, after, decide, vote
from services.commit.records import Known, Note, Records
from services.runtime.database import AWAY, CONTENDED, Database
from services.runtime.ids import is_uuid

log = structlog.get_logger()

OURS = "[a-z0-9-]+:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/[0-9]+/[0-9]+$"
"""What `_gid` makes, for Postgres. Somebody else's prepared transactions may be in the same database."""

LOCK_WAIT_S = 0.1
"""For a whole batch: those of it that have voted are holding locks while the others wait for theirs."""

WORKING, DECIDING = 8, 4
"""Connections for those who wait for locks, and for those whom they wait for."""

TRIES = 50
LOST = (*CONTENDED, asyncpg.DuplicateObjectError)
OVERTAKEN = (
    asyncpg.UndefinedObjectError,  # "does not exist": committed or rolled back, by whom only the marker tells
    asyncpg.ObjectNotInPrerequisiteStateError,  # another connection is at it; or a lock was not got in time
)

BEGIN = """
    BEGIN; SET LOCAL lock_timeout = {wait}; -- Nobody sees what is prepared: who undoes it must wait for it.
    SELECT pg_advisory_xact_lock(hashtextextended(s, 0)) FROM unnest('{{{subjects}}}'::text[]) s ORDER BY s;
    INSERT INTO branches AS b VALUES ('{id}', {round.epoch}, {round.number}, 'committed', '{{{subjects}}}')
"""
OR_AGAIN = """
    ON CONFLICT (transaction_id) DO UPDATE SET (epoch, number, outcome, subjects)
        = (excluded.epoch, excluded.number, excluded.outcome, excluded.subjects)
    WHERE b.outcome = 'aborted' AND (b.epoch, b.number) < (excluded.epoch, excluded.number)
"""
BURY = """
    SET LOCAL lock_timeout = {wait}; INSERT INTO branches AS b VALUES
    ('{id}', {round.epoch}, {round.number}, 'aborted')
    ON CONFLICT (transaction_id) DO UPDATE SET epoch = excluded.epoch, number = excluded.number
    WHERE b.outcome = 'aborted' AND (b.epoch, b.number) < (excluded.epoch, excluded.number)
"""
W = TypeVar("W")

Work = Callable[[asyncpg.Connection, Sequence[W]], Awaitable[Sequence[Refusal]]]
"""Does all of it in the open transaction, or says what cannot be done; then all is rolled back."""

Script = Callable[[Sequence[W]], str]
"""SQL that does the same without an answer: all of it, or it fails by NOT_SO. Empty where there is none."""

NOT_SO = (asyncpg.IntegrityConstraintViolationError, asyncpg.DivisionByZeroError)

Committed = Callable[[Sequence[str]], Awaitable[None]]
"""Told the ids of transactions that have just committed here; not promised, the process may die before."""


async def tell_nobody(ids: Sequence[str]) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Call(Generic[W]):
    """A request about the transaction with this id, a UUID. `protocol` is the first word of its gid.

    `subjects` are the ids of what a prepare's works are about, to be kept beside the marker.
    """

    id: str
    protocol: str
    request: Request
    works: Sequence[W] = ()
    subjects: Sequence[str] = ()


class Participant(Generic[W]):
    """One service of a commit. Every public promise of this module is `handle`'s."""

    def __init__(self, name: str, url: str, work: Work[W], script: Script[W], committed: Committed) -> None:
        self._name, self._work, self._script, self._committed = name, work, script, committed
        self._working = Database(url, pool_size=WORKING)
        self.deciding = Database(url, pool_size=DECIDING)
        self._records = Records(self.deciding)
        self.noted: list[str] = []
        """Transactions whose notes are of no use any more."""

    async def handle(self, calls: Sequence[Call[W]]) -> list[Answer]:
        """An answer for each, in order. Raises AWAY: of what was asked some may be done; ask again."""
        until = time.monotonic() + LOCK_WAIT_S
        mine: dict[str, list[int]] = {}
        for number, call in enumerate(calls):
            mine.setdefault(call.id, []).append(number)
        known = {
            id: assumed
            for id, [number, *others] in mine.items()
            if not others and (assumed := _assumed(calls[number]))
        }
        known |= await self._records.read(mine.keys() - known.keys())
        answers: dict[int, Answer] = {}
        committed: list[str] = []

        async def in_turn(id: str) -> None:
            for number in mine[id]:
                before = known[id].branch.committed
                answers[number], known[id] = await self._answer(calls[number], known[id], until)
                branch = known[id].branch
                if branch.committed != before:
                    committed.append(id)
                finished = branch.committed and calls[number].protocol == "3pc"
                if finished or (branch.precommitted and branch.prepared is None):
                    self.noted.append(id)

        failures = await asyncio.gather(*map(in_turn, mine), return_exceptions=True)
        if committed:
            await self._committed(committed)
        for failure in filter(None, failures):
            raise failure
        return [answers[number] for number in range(len(calls))]

    async def close(self) -> None:
        await self._working.close()
        await self.deciding.close()

    async def _answer(self, call: Call[W], known: Known, until: float) -> tuple[Answer, Known]:
        round, lost = call.request.round, False
        for turn in range(TRIES):
            if turn > 2:
                await asyncio.sleep(0.001 * turn)
            match decide(known.branch, call.request):
                case State() as state:
                    return Acked(self._name, round, state, known.recovering), known
                case Act(Verb.WORK) if lost:
                    return Voted(self._name, round, "busy"), known
                case Act() as act:
                    done, refusals = await self._run(call, act, known.gid, until)
                    lost = act.verb is Verb.WORK and not done
                    if refusals:
                        return Voted(self._name, round, "no", tuple(refusals)), known
                    if done and (branch := after(known.branch, act)):
                        known = replace(known, branch=branch, gid=_gid(call, act.round))
                    else:
                        known = await self._records.read_one(call.id)
                case answer:
                    return Voted(self._name, round, answer), known
        raise TimeoutError(f"{call.id}: the others are always quicker")

    async def _run(self, call: Call[W], act: Act, gid: str, until: float) -> tuple[bool, Sequence[Refusal]]:
        """Whether it was done, by us and just now; if not, what is durable must be read again."""
        match act.verb:
            case Verb.WORK:
                return await self._prepare(call, act.round, until)
            case Verb.COMMIT:
                return await self._say(f"COMMIT PREPARED '{gid}'"), ()
            case Verb.ROLLBACK:
                return await self._say(f"ROLLBACK PREPARED '{gid}'"), ()
            case Verb.PRECOMMIT:
                # Not `after` this: it may have been rolled back while the note was written.
                await self._records.note(Note(call.id, act.round, gid))
                return False, ()
            case Verb.BURY:
                return await self._say(BURY.format(id=call.id, round=act.round, wait=_wait(until))), ()
            case _:
                assert_never(act.verb)

    async def _prepare(self, call: Call[W], round: Round, until: float) -> tuple[bool, Sequence[Refusal]]:
        refusals: Sequence[Refusal] = ()
        async with self._working.connection() as sql:
            try:
                begin = partial(BEGIN.format, id=call.id, round=round, subjects=",".join(call.subjects))
                prepare = f"PREPARE TRANSACTION '{_gid(call, round)}'"
                if script := self._script(call.works):
                    # One round trip instead of four, as long as nothing has to be refused.
                    try:
                        return vote(
                            await sql.execute(f"{begin(wait=_wait(until))}; {script}; {prepare}")
                        ) == "yes", ()
                    except NOT_SO:
                        await sql.execute("ROLLBACK")
                if await sql.execute(begin(wait=_wait(until)) + OR_AGAIN) == "INSERT 0 1" and not (
                    refusals := await self._work(sql, call.works)
                ):
                    return vote(await sql.execute(prepare)) == "yes", ()
            except LOST:
                pass
            except asyncpg.InsufficientResourcesError as error:
                # At the cap Postgres says 53200, out of memory, or 53400.
                log.warning("Postgres is full, voting busy", error=repr(error))
            except AWAY:
                raise  # the lender gives up the connection, and Postgres what was done in it
            except Exception:
                log.exception("failed, voting busy", transaction=call.id)
            await sql.execute("ROLLBACK")
        return False, refusals

    async def _say(self, statement: str) -> bool:
        """Alone, in a transaction of its own. False: somebody else was quicker, or is at it."""
        async with self.deciding.connection() as sql:
            try:
                return await sql.execute(statement) != "INSERT 0 0"
            except OVERTAKEN:
                return False


def _gid(call: Call[Any], round: Round) -> str:
    """It cannot be a parameter, so it consists of nothing that would need quoting."""
    assert is_uuid(call.id) and call.protocol.replace("-", "").isalnum()
    return core.gid(f"{call.protocol}:{call.id}", round)


def _assumed(call: Call[Any]) -> Known | None:
    """What is durable if all goes well; asked first, it would cost a query a call.

    Only what makes `decide` act, never what makes it answer: an act for which this is not so changes
    nothing, and then what is durable is read.
    """
    match call.request:
        case Prepare():
            return Known(Branch())
        case PreCommit(round) | Commit(round):
            return Known(Branch(prepared=round), _gid(call, round))
        case _:
            return None


def _wait(until: float) -> str:
    """Zero would be for ever."""
    return str(max(1, int(1000 * (until - time.monotonic()))))
