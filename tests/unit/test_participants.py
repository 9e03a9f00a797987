"""What a coordinator asks of a participant at the same moment goes in one call; each hears its own answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest

from orchestrator.core import two_phase
from orchestrator.core.exchange import Acked, Inquire, Prepare, Refusal, Round, State, Voted
from orchestrator.participants import CALLS_AT_ONCE, MOST_IN_A_CALL, Participants
from orchestrator.transactions import Row
from services.contract.commit import PARTICIPANTS, Answers, Batch, Refused, Told, Work

Reply = Callable[[Batch], Awaitable[httpx.Response]]
ROUND = Round(1, 1)


@asynccontextmanager
async def served(reply: Reply) -> AsyncIterator[tuple[Participants, list[Batch]]]:
    """Participants that all answer so, and the calls that they have had."""
    calls: list[Batch] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/payment/participant/batches"
        calls.append(msgspec.json.decode(request.content, type=Batch))
        return await reply(calls[-1])

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://nginx") as client:
        yield Participants(client), calls


def answered(*told: Told) -> httpx.Response:
    return httpx.Response(200, content=msgspec.json.encode(Answers(told, "payment")))


async def committed_if_even(batch: Batch) -> httpx.Response:
    committed, aborted = Told(state="committed"), Told(state="aborted")
    return answered(*(aborted if int(asked.transaction) % 2 else committed for asked in batch.requests))


def row(number: int, *orders: str) -> Row:
    works = tuple(Work(order, "buy") for order in orders)
    state, _ = two_phase.begin(PARTICIPANTS, orders, 1)
    return Row(str(number), "2pc", 0, state, works, "trace", time.monotonic())


async def inquire(participants: Participants, number: int) -> object:
    return await participants.ask("payment", row(number, "a"), Inquire(ROUND))


async def test_what_is_asked_at_once_shares_calls_and_each_hears_its_own_answer() -> None:
    async with served(committed_if_even) as (participants, calls):
        count = MOST_IN_A_CALL + 7
        heard = await asyncio.gather(*(inquire(participants, n) for n in range(count)))
    states = (State.COMMITTED, State.ABORTED)
    assert heard == [Acked("payment", ROUND, states[n % 2], False) for n in range(count)]
    assert [len(batch.requests) for batch in calls] == [MOST_IN_A_CALL, 7]


async def test_a_call_that_takes_long_does_not_hold_up_the_next_until_there_are_too_many() -> None:
    go_on = asyncio.Event()

    async def reply(batch: Batch) -> httpx.Response:
        await go_on.wait()
        return await committed_if_even(batch)

    async with served(reply) as (participants, calls):
        asking = []
        for number in range(CALLS_AT_ONCE + 2):
            asking.append(asyncio.create_task(inquire(participants, number)))
            await asyncio.wait(asking, timeout=0.05)
        assert len(calls) == CALLS_AT_ONCE
        go_on.set()
        assert None not in await asyncio.gather(*asking)
        assert [len(batch.requests) for batch in calls[CALLS_AT_ONCE:]] == [2]


async def test_a_prepare_takes_along_the_work_of_the_orders_that_are_left_and_no_names_those_refused() -> (
    None
):
    async def reply(batch: Batch) -> httpx.Response:
        return answered(Told(vote="no", refusals=(Refused("b", "out-of-stock", "one is left"),)))

    async with served(reply) as (participants, calls):
        vote = await participants.ask("payment", row(1, "a", "b", "c"), Prepare(ROUND, ("a", "b")))
    [asked] = calls[0].requests
    assert (asked.verb, asked.traceparent) == ("prepare", "trace")
    assert [work.order_id for work in asked.work] == ["a", "b"]
    assert vote == Voted("payment", ROUND, "no", (Refusal("b", "out-of-stock", "one is left"),))


async def no_answer(batch: Batch) -> httpx.Response:
    raise httpx.ReadTimeout("nobody is there")


async def away(batch: Batch) -> httpx.Response:
    return httpx.Response(503)


async def gibberish(batch: Batch) -> httpx.Response:
    return httpx.Response(200, content=b"<html>")


async def one_too_few(batch: Batch) -> httpx.Response:
    return answered(*(Told(state="committed") for _ in batch.requests[1:]))


@pytest.mark.parametrize("reply", [no_answer, away, gibberish, one_too_few])
async def test_what_is_no_answer_to_all_is_none_to_anybody_and_the_next_call_is_made(reply: Reply) -> None:
    replies = [reply] * (CALLS_AT_ONCE + 1)

    async def at_first(batch: Batch) -> httpx.Response:
        return await (replies.pop() if replies else committed_if_even)(batch)

    async with served(at_first) as (participants, calls):
        while replies:
            assert await asyncio.gather(*(inquire(participants, n) for n in range(3))) == [None] * 3
        assert await inquire(participants, 4) == Acked("payment", ROUND, State.COMMITTED, False)
    assert len(calls) == CALLS_AT_ONCE + 2
