"""Where a service is asked to take part: batches over HTTP, and a `Participant` behind."""

from collections.abc import Awaitable, Callable, Sequence
from typing import assert_never

import asyncpg
import msgspec
from fastapi import Request, Response

from orchestrator.core import exchange as core
from orchestrator.core.exchange import Acked, Refusal, Round, Voted
from services.commit.participant import Call, Committed, Participant
from services.contract.commit import Answers, Asked, Batch, Refused, Told, Work
from services.runtime.http import read_body, require
from services.runtime.ids import is_uuid
from services.runtime.problems import Problem

LARGEST_BATCH = 16 << 20
MOST_REQUESTS = 1_000
MOST_WORK = 2_000
"""Orders in one transaction."""

LARGEST_NUMBER = 2**63 - 1

OrderWork = Callable[[asyncpg.Connection, Sequence[Work]], Awaitable[Sequence[Refused]]]
"""Does the work of all these orders in the open transaction, or says which of them it has to refuse."""

OrderScript = Callable[[Work], str]
"""SQL that does the same for one order that is bought, or fails; see `participant.Script`."""

_batches = msgspec.json.Decoder(Batch)
_encode = msgspec.json.Encoder().encode


class ParticipantRoute:
    """`answer` is the endpoint; `handle` the same for those in this process."""

    def __init__(
        self, name: str, url: str, work: OrderWork, script: OrderScript, committed: Committed, token: str
    ) -> None:
        async def refusals(sql: asyncpg.Connection, works: Sequence[Work]) -> list[Refusal]:
            return [Refusal(r.order_id, r.reason, r.detail) for r in await work(sql, works)]

        def in_one(works: Sequence[Work]) -> str:
            [first, *others] = works
            return "" if others or first.kind != "buy" else script(first)

        self.participant = Participant[Work](name, url, refusals, in_one, committed)
        self._name = name
        self.token = token

    async def answer(self, request: Request) -> Response:
        """Raises Problem 401, 413, 415 or 422; then nothing was done."""
        require(request, self.token, "participant")
        batch = read(await read_body(request, LARGEST_BATCH))
        return Response(_encode(await self.handle(batch)), media_type="application/json")

    async def handle(self, batch: Batch) -> Answers:
        answers = await self.participant.handle([call(asked) for asked in batch.requests])
        return Answers(tuple(told(answer) for answer in answers), self._name)


def read(body: bytes) -> Batch:
    try:
        batch = _batches.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Problem(422, "invalid-request", str(error)) from None
    if len(batch.requests) > MOST_REQUESTS:
        raise Problem(422, "invalid-request", f"a batch has at most {MOST_REQUESTS} requests")
    for asked in batch.requests:
        if fault := _fault(asked):
            raise Problem(422, "invalid-request", f"transaction {asked.transaction[:40]}: {fault}")
    return batch


def _fault(asked: Asked) -> str:
    """What Postgres would choke on, or worse; the rest of what a coordinator says is believed."""
    if not is_uuid(asked.transaction):
        return "its id is no UUID in its usual form"
    if not (0 <= asked.epoch <= LARGEST_NUMBER and 0 <= asked.number <= LARGEST_NUMBER):
        return "no such round"
    if (asked.verb == "prepare") != bool(asked.work) or len(asked.work) > MOST_WORK:
        return f"a prepare, and nothing else, has work: 1 to {MOST_WORK} orders"
    ids = {work.order_id for work in asked.work}
    if len(ids) < len(asked.work) or not all(map(is_uuid, ids)):
        return "each order has one piece of work, and a UUID"
    if any(line.quantity < 1 for work in asked.work for line in work.lines):
        return "a quantity is at least one"
    if any(work.amount < 0 for work in asked.work):
        return "an amount is at least nothing"
    return ""


def call(asked: Asked) -> Call[Work]:
    ids = tuple(work.order_id for work in asked.work)
    return Call(asked.transaction, asked.protocol, _request(asked, ids), asked.work, ids)


def _request(asked: Asked, ids: tuple[str, ...]) -> core.Request:
    round = Round(asked.epoch, asked.number)
    match asked.verb:
        case "prepare":
            return core.Prepare(round, ids)
        case "pre-commit":
            return core.PreCommit(round)
        case "commit":
            return core.Commit(round)
        case "abort":
            return core.Abort(round)
        case "inquire":
            return core.Inquire(round)
        case _:
            assert_never(asked.verb)


def told(answer: core.Answer) -> Told:
    match answer:
        case Voted(vote=vote, refusals=refusals):
            return Told(vote=vote, refusals=tuple(Refused(r.order, r.reason, r.detail) for r in refusals))
        case Acked(state=state, recovering=recovering):
            return Told(state=state.value, recovering=recovering)
        case _:
            assert_never(answer)
