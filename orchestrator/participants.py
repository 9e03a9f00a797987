"""The participants of two- and three-phase commit, as the coordinator reaches them: in batches, over HTTP."""

import asyncio
from functools import partial
from typing import Self, assert_never

import httpx
import msgspec
import structlog

from orchestrator.core import exchange
from orchestrator.kept_alive import KeptAlive
from orchestrator.transactions import Row
from services.contract.commit import (
    DOUBTS_PATH,
    PARTICIPANTS,
    PATH,
    RESOLUTIONS_PATH,
    Asked,
    Batch,
    Doubts,
    Resolution,
    Resolved,
    Told,
    read_answers,
)

log = structlog.get_logger()

MOST_IN_A_CALL = 100

CALLS_AT_ONCE = 4
"""Under way to one participant: a prepare that waits for a lock does not hold up everybody else."""

GATHER_S = 0.005
"""Who asks while another call is under way waits for others to come along; who asks alone does not.
J. Nagle, "Congestion Control in IP/TCP Internetworks", RFC 896, 1984."""

PATIENCE_S = 10.0
"""Longer than any lock wait. Who gives no answer is asked again by the transaction's own timer."""

OPERATORS_PATIENCE_S = 3.0
"""An operator rather hears that a participant is silent."""

_doubts = msgspec.json.Decoder(Doubts)
_resolved = msgspec.json.Decoder(Resolved)


class Participants:
    """`ask` one of them something, for a transaction; `doubts` and `resolve` are an operator's questions."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._lanes = {name: _Lane(client, f"/{name}{PATH}") for name in PARTICIPANTS}

    @classmethod
    def at(cls, internal_url: str, token: str) -> Self:
        """Behind nginx's internal listener, which finds a replica that lives."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        client = httpx.AsyncClient(
            base_url=internal_url,
            headers=headers,
            timeout=httpx.Timeout(PATIENCE_S, connect=1.0),
            transport=KeptAlive(internal_url),
        )
        return cls(client)

    async def ask(self, name: str, row: Row, request: exchange.Request) -> exchange.Answer | None:
        """None when there was no answer: whether it was heard is unknown."""
        told = await self._lanes[name].ask(_asked(row, request))
        return None if told is None else _heard(name, request.round, told)

    async def doubts(self, name: str) -> Doubts | None:
        """What it has prepared. None: it does not answer."""
        body = await self._call("GET", f"/{name}{DOUBTS_PATH}")
        return None if body is None else _doubts.decode(body)

    async def resolve(self, name: str, resolution: Resolution) -> Resolved | None:
        """None when there was no answer: whether it was done is unknown."""
        body = await self._call("POST", f"/{name}{RESOLUTIONS_PATH}", msgspec.json.encode(resolution))
        return None if body is None else _resolved.decode(body)

    async def _call(self, method: str, path: str, content: bytes | None = None) -> bytes | None:
        try:
            async with asyncio.timeout(OPERATORS_PATIENCE_S):
                response = await self._client.request(method, path, content=content)
            response.raise_for_status()
        except (httpx.HTTPError, TimeoutError) as error:
            log.warning("participant not asked", path=path, error=repr(error))
            return None
        return response.content

    async def close(self) -> None:
        await self._client.aclose()


class _Lane:
    def __init__(self, client: httpx.AsyncClient, path: str) -> None:
        self._client = client
        self._path = path
        self._waiting: list[tuple[Asked, asyncio.Future[Told | None]]] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._callers, self._someone_comes = 0, False

    async def ask(self, asked: Asked) -> Told | None:
        answer: asyncio.Future[Told | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        if self._callers < CALLS_AT_ONCE and not self._someone_comes:
            self._callers, self._someone_comes = self._callers + 1, True
            call = asyncio.create_task(self._run())
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        return await answer

    async def _run(self) -> None:
        while True:
            self._someone_comes = True
            # Everything that this turn of the loop wants to ask comes along; and more, when there is more.
            await asyncio.sleep(GATHER_S if self._callers > 1 else 0)
            batch, self._waiting = self._waiting[:MOST_IN_A_CALL], self._waiting[MOST_IN_A_CALL:]
            self._someone_comes = False
            told = await self._call(tuple(asked for asked, _ in batch))
            for (_, answer), one in zip(batch, told, strict=True):
                if not answer.done():
                    answer.set_result(one)
            if not self._waiting or self._someone_comes:
                break
        self._callers -= 1

    async def _call(self, requests: tuple[Asked, ...]) -> tuple[Told | None, ...]:
        try:
            response = await self._client.post(self._path, content=msgspec.json.encode(Batch(requests)))
            response.raise_for_status()
            return read_answers(response.content, len(requests))
        except (httpx.HTTPError, ValueError) as error:
            log.warning("participant not asked", path=self._path, error=repr(error))
            return (None,) * len(requests)


def _asked(row: Row, request: exchange.Request) -> Asked:
    about = partial(Asked, row.id, request.round.epoch, request.round.number, row.protocol)
    match request:
        case exchange.Prepare(orders=orders):
            work = tuple(work for work in row.works if work.order_id in orders)
            return about("prepare", work, row.traceparent)
        case exchange.PreCommit():
            return about("pre-commit")
        case exchange.Commit():
            return about("commit")
        case exchange.Abort():
            return about("abort")
        case exchange.Inquire():
            return about("inquire")
        case _:
            assert_never(request)


def _heard(who: str, round: exchange.Round, told: Told) -> exchange.Answer:
    if told.vote:
        refusals = tuple(exchange.Refusal(r.order_id, r.reason, r.detail) for r in told.refusals)
        return exchange.Voted(who, round, told.vote, refusals)
    return exchange.Acked(who, round, exchange.State(told.state), told.recovering)
