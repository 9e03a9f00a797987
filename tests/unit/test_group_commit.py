"""Whoever arrives while a transaction runs shares the next one, and nobody else's fate."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from services.runtime import group_commit
from services.runtime.group_commit import GroupCommit
from services.runtime.problems import Problem
from tests.unit.turns import soon, turn


class Clerk:
    """Commits what it is given when it is told to, or fails with what it is told."""

    def __init__(self) -> None:
        self.began: asyncio.Queue[list[int]] = asyncio.Queue()
        self.word: asyncio.Queue[Exception | None] = asyncio.Queue()

    async def commit(self, requests: Sequence[int]) -> Sequence[str]:
        self.began.put_nowait(list(requests))
        if error := await self.word.get():
            raise error
        return [f"{request} done" for request in requests]

    async def batch(self) -> list[int]:
        return await soon(self.began.get())

    def say(self, error: Exception | None = None) -> None:
        self.word.put_nowait(error)


def arrive(group: GroupCommit[int, str], *requests: int) -> list[asyncio.Task[str]]:
    return [asyncio.create_task(group.submit(request)) for request in requests]


async def test_everyone_who_arrives_while_one_runs_shares_the_next() -> None:
    clerk = Clerk()
    group = GroupCommit(clerk.commit)
    first = arrive(group, 1)
    assert await clerk.batch() == [1]
    others = arrive(group, 2, 3, 4)
    await turn(3)
    assert clerk.began.empty(), "one transaction at a time"
    clerk.say()
    assert await clerk.batch() == [2, 3, 4]
    clerk.say()
    assert await soon(asyncio.gather(*first, *others)) == ["1 done", "2 done", "3 done", "4 done"]


async def test_those_who_arrive_together_share_the_first() -> None:
    clerk = Clerk()
    requests = arrive(GroupCommit(clerk.commit), 1, 2, 3)
    assert await clerk.batch() == [1, 2, 3]
    clerk.say()
    assert await soon(asyncio.gather(*requests)) == ["1 done", "2 done", "3 done"]


async def test_an_error_reaches_all_of_its_batch_and_nobody_else() -> None:
    clerk = Clerk()
    group = GroupCommit(clerk.commit)
    (before,) = arrive(group, 1)
    await clerk.batch()
    unlucky = arrive(group, 2, 3)
    clerk.say()
    assert await clerk.batch() == [2, 3]
    (after,) = arrive(group, 4)
    clerk.say(ConnectionError("the database went away"))
    assert await clerk.batch() == [4]
    clerk.say()
    for request in unlucky:
        with pytest.raises(ConnectionError, match="went away"):
            await soon(request)
    assert [await soon(before), await soon(after)] == ["1 done", "4 done"]


async def test_an_error_after_long_waiting_reaches_those_who_came_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "SLOW_S", 0.0)
    clerk = Clerk()
    group = GroupCommit(clerk.commit)
    first = arrive(group, 1)
    await clerk.batch()
    meanwhile = arrive(group, 2, 3)
    await turn()
    clerk.say(TimeoutError())
    for request in (*first, *meanwhile):
        with pytest.raises(TimeoutError):
            await soon(request)
    (after,) = arrive(group, 4)
    assert await clerk.batch() == [4]
    clerk.say()
    assert await soon(after) == "4 done"


async def test_a_large_crowd_is_served_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "AT_ONCE", 2)
    clerk = Clerk()
    requests = arrive(GroupCommit(clerk.commit), 1, 2, 3, 4, 5)
    for batch in ([1, 2], [3, 4], [5]):
        assert await clerk.batch() == batch
        clerk.say()
    await soon(asyncio.gather(*requests))


async def test_beyond_the_limit_a_request_is_turned_away_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MOST_WAITING", 2)
    clerk = Clerk()
    group = GroupCommit(clerk.commit)
    running = arrive(group, 1)
    await clerk.batch()
    waiting = arrive(group, 2, 3)
    await turn()
    with pytest.raises(Problem) as caught:
        await group.submit(4)
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "1"})
    assert msgspec.json.decode(caught.value.body)["type"] == "/problems/too-many-requests"
    clerk.say()
    assert await clerk.batch() == [2, 3], "those who were let in are served"
    later = arrive(group, 5)
    clerk.say()
    assert await clerk.batch() == [5], "and there is room again"
    clerk.say()
    await soon(asyncio.gather(*running, *waiting, *later))


async def test_one_who_gives_up_harms_nobody() -> None:
    clerk = Clerk()
    group = GroupCommit(clerk.commit)
    impatient, patient = arrive(group, 1, 2)
    assert await clerk.batch() == [1, 2]
    gone, stays = arrive(group, 3, 4)
    await turn()
    impatient.cancel()
    gone.cancel()
    await asyncio.wait([impatient, gone])
    clerk.say()
    assert 4 in await clerk.batch()
    clerk.say()
    assert [await soon(patient), await soon(stays)] == ["2 done", "4 done"]
    assert impatient.cancelled() and gone.cancelled()


async def test_one_who_gives_up_does_not_hear_of_the_error_either() -> None:
    clerk = Clerk()
    impatient, patient = arrive(GroupCommit(clerk.commit), 1, 2)
    await clerk.batch()
    impatient.cancel()
    await asyncio.wait([impatient])
    clerk.say(ConnectionError("away"))
    with pytest.raises(ConnectionError):
        await soon(patient)


async def test_nobody_is_forgotten_whenever_they_arrive() -> None:
    async def commit(requests: Sequence[int]) -> Sequence[int]:
        return requests

    async def late(group: GroupCommit[int, int], after: int) -> int:
        await turn(after)
        return await group.submit(2)

    for after in range(12):
        group = GroupCommit(commit)
        second = asyncio.create_task(late(group, after))
        assert await group.submit(1) == 1
        assert await soon(second) == 2
