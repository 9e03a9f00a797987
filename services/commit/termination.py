"""Finishes three-phase commits whose coordinator is silent, together with the other participants.

What is to be done, `orchestrator.core.termination` decides. It takes two things that this module knows.

*Silence.* A transaction is taken up when nothing has become of it for `silence_s` since its vote or its
pre-commit, whichever replica had it; live ones are never touched (citusdata/citus#2095). One replica at a
time does so.

*Who has been down.* Peers take a service for dead that answers nothing for `PATIENCE_S`. It has to know
that they may have, when it is back. So every replica writes in the service's own database that it lives:
`awake.since` is when the present stretch without a gap of `DEAD_AFTER_S` began, and what was prepared before
is `recovering`. A restart of one replica of two is no gap; the death of all of them, or of Postgres, is.
Postgres's clock judges. When it jumps, in either direction, nobody can tell whether there was a gap: that is
one, and so is a vote of a time to come. What a clock put back by just so long hides is not seen.

When a coordinator is silent, hundreds of transactions miss it at the same moment. What they want to know of a
peer goes in one call: a call each would keep everybody so busy that the living were taken for dead.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence
from functools import partial

import asyncpg
import httpx
import msgspec
import structlog
from prometheus_client import Gauge

from orchestrator.core import exchange as core
from orchestrator.core import termination
from orchestrator.core.commit import Send, TimedOut
from orchestrator.core.exchange import Acked, Round, State
from orchestrator.core.participant import read_gid
from services.commit.participant import OURS
from services.commit.records import DEAD_AFTER_S
from services.commit.route import ParticipantRoute
from services.contract.commit import PARTICIPANTS, PATH, Asked, Batch, Told, Verb, read_answers
from services.runtime.database import RETRIABLE
from services.runtime.group_commit import GroupCommit

log = structlog.get_logger()

BEAT_EVERY_S = DEAD_AFTER_S / 6
LOOK_EVERY_S = 0.5

PATIENCE_S = DEAD_AFTER_S + 1.0
"""Who does not answer for so long knows, when it is back, that it was away."""

CALL_S = PATIENCE_S / 2
"""A call that hangs does not use up all the patience: another replica may answer the next."""

AGAIN_AFTER_S = 0.2
AT_ONCE = 200
MOST_TURNS = 6
"""Then the lock is given up; whatever is left is found, and begun anew, by the next look."""

LOCK = 7_203_518

BEAT = """
    UPDATE awake SET until = clock_timestamp(), since = CASE
        WHEN until BETWEEN clock_timestamp() - make_interval(secs => $1) AND clock_timestamp()
        THEN since ELSE clock_timestamp() END
"""
DOUBT = """
    SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(prepared)), 0)::float8
    FROM pg_prepared_xacts WHERE database = current_database()
"""
PREPARED = Gauge(
    "tradeoff_prepared_transactions", "Transactions that this service has prepared, all replicas"
)
OLDEST_S = Gauge("tradeoff_oldest_prepared_seconds", "How long the oldest of them has been in doubt")

SILENT = f"""
    SELECT gid FROM pg_prepared_xacts
    WHERE database = current_database() AND gid LIKE '3pc:%' AND gid ~ '^{OURS}'
        AND abs(extract(epoch FROM now() - prepared)::float8) > $1
        AND NOT EXISTS (SELECT FROM precommits WHERE abs(extract(epoch FROM now() - created_at)::float8) <= $1
            AND transaction_id::text = split_part(split_part(gid, '/', 1), ':', 2))
    ORDER BY prepared LIMIT $2
"""
SWEEP = "DELETE FROM precommits WHERE transaction_id = ANY($1::uuid[])"

VERBS: dict[type[core.Request], Verb] = {
    core.PreCommit: "pre-commit",
    core.Commit: "commit",
    core.Abort: "abort",
    core.Inquire: "inquire",
}

_encode = msgspec.json.Encoder().encode


class Terminator:
    """`loops` run in each replica."""

    def __init__(
        self, name: str, route: ParticipantRoute, peers: httpx.AsyncClient, silence_s: float
    ) -> None:
        self._name = name
        self._route = route
        self._database = route.participant.deciding
        self._peers = peers
        self._silence_s = silence_s
        self._lines = {name: GroupCommit[Asked, Told](partial(self._ask_all, name)) for name in PARTICIPANTS}
        self.loops = (self.beat, self.look)

    async def beat(self) -> None:
        while True:
            try:
                async with self._database.connection() as sql:
                    await sql.execute(BEAT, DEAD_AFTER_S)
                    [(prepared, oldest_s)] = await sql.fetch(DOUBT)
                PREPARED.set(prepared)
                OLDEST_S.set(oldest_s)
            except (*RETRIABLE, asyncpg.PostgresError) as error:
                log.warning("cannot say that it lives", error=repr(error))
            await asyncio.sleep(BEAT_EVERY_S)

    async def look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self._finish_all()
            except (*RETRIABLE, asyncpg.PostgresError) as error:
                log.warning("cannot look for transactions without a coordinator", error=repr(error))

    async def _finish_all(self) -> None:
        noted, self._route.participant.noted = self._route.participant.noted, []
        async with self._database.connection() as sql:
            if noted:
                await sql.execute(SWEEP, noted)
            found = [read_gid(row["gid"]) for row in await sql.fetch(SILENT, self._silence_s, AT_ONCE)]
            if not found or not await sql.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                return
            try:
                branches = [(name.partition(":")[2], round) for name, round in filter(None, found)]
                await asyncio.gather(*itertools.starmap(self._finish, branches))
            finally:
                await sql.execute("SELECT pg_advisory_unlock($1)", LOCK)

    async def _finish(self, transaction: str, round: Round) -> None:
        log.info("the coordinator is silent", transaction=transaction)
        own, effects = termination.begin(self._name, PARTICIPANTS, round)
        for turn in range(MOST_TURNS):
            sends = [effect for effect in effects if isinstance(effect, Send)]
            heard = await asyncio.gather(*(self._ask(transaction, send) for send in sends))
            if own.ended:
                log.info("finished without the coordinator", transaction=transaction, heard=str(own.heard))
                return
            if not sends:
                await asyncio.sleep(AGAIN_AFTER_S * turn)
            effects = ()
            for answer in filter(None, heard):
                own, more = termination.step(own, answer)
                effects += more
            if not effects:
                own, effects = termination.step(own, TimedOut(termination.token(own)))

    async def _ask(self, transaction: str, send: Send) -> Acked | None:
        """Until it answers. None: it has been silent for so long that it is dead."""
        round = send.request.round
        asked = Asked(transaction, round.epoch, round.number, "3pc", VERBS[type(send.request)])
        deadline, fault = time.monotonic() + PATIENCE_S, ""
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left_s):
                    told = await self._lines[send.to].submit(asked)
                return Acked(send.to, round, State(told.state), told.recovering)
            except (httpx.HTTPError, ValueError, *RETRIABLE) as error:
                fault = repr(error)
            await asyncio.sleep(AGAIN_AFTER_S)
        log.warning("a participant is taken for dead", participant=send.to, error=fault)
        return None

    async def _ask_all(self, name: str, requests: Sequence[Asked]) -> Sequence[Told]:
        batch = Batch(tuple(requests))
        if name == self._name:
            return (await self._route.handle(batch)).answers
        response = await self._peers.post(
            f"/{name}{PATH}",
            content=_encode(batch),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._route.token}"},
            timeout=CALL_S,
        )
        return read_answers(response.raise_for_status().content, len(requests))
