"""Many wait for what another process will write; one question at a time is asked for all of them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.runtime import outcomes
from services.runtime.outcomes import Outcomes
from tests.unit.turns import soon, turn

NEVER_S = 1000.0
AT_ONCE_S = 0.005


class Books:
    """What has been written, and who asked for what."""

    def __init__(self) -> None:
        self.written: dict[str, str] = {}
        self.asked: list[list[str]] = []
        self.errors: list[Exception] = []

    async def look_up(self, ids: list[str]) -> dict[str, str]:
        self.asked.append(sorted(ids))
        if self.errors:
            raise self.errors.pop()
        return {id: self.written[id] for id in ids if id in self.written}


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
async def waiting(books: Books) -> AsyncIterator[Outcomes[str]]:
    waiting = Outcomes(books.look_up)
    running = asyncio.create_task(waiting.run())
    yield waiting
    running.cancel()
    await asyncio.wait([running])


@pytest.fixture
def hints_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "POLL_EVERY_S", NEVER_S)


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "POLL_EVERY_S", AT_ONCE_S)


def wait(waiting: Outcomes[str], *ids: str) -> list[asyncio.Task[str | None]]:
    return [asyncio.create_task(waiting.wait(id, NEVER_S)) for id in ids]


async def test_a_hint_is_followed_at_once(hints_only: None, books: Books, waiting: Outcomes[str]) -> None:
    (mine,) = wait(waiting, "a")
    await turn()
    books.written["a"] = "confirmed"
    waiting.hint(["a"])
    assert await soon(mine) == "confirmed"


async def test_a_hint_that_comes_too_early_decides_nothing(
    hints_only: None, books: Books, waiting: Outcomes[str]
) -> None:
    (mine,) = wait(waiting, "a")
    await turn()
    waiting.hint(["a"])
    await turn(5)
    assert books.asked == [["a"]] and not mine.done()
    books.written["a"] = "confirmed"
    waiting.hint(["a"])
    assert await soon(mine) == "confirmed"


async def test_hints_for_many_are_one_question(
    hints_only: None, books: Books, waiting: Outcomes[str]
) -> None:
    everyone = wait(waiting, *"abcde")
    await turn()
    books.written = dict.fromkeys("abcd", "confirmed")
    waiting.hint("ab")
    waiting.hint("cdx")
    assert await soon(asyncio.gather(*everyone[:4])) == ["confirmed"] * 4
    assert books.asked == [list("abcd")]
    assert not everyone[4].done()
    waiting.resolve({"e": "refused"})
    assert await soon(everyone[4]) == "refused"


async def test_what_nobody_waits_for_is_not_asked(
    hints_only: None, books: Books, waiting: Outcomes[str]
) -> None:
    waiting.hint(["a", "b"])
    waiting.resolve({"a": "confirmed"})
    await turn(5)
    assert books.asked == []


async def test_a_lost_hint_only_costs_time(polls: None, books: Books, waiting: Outcomes[str]) -> None:
    mine, other = wait(waiting, "a", "b")
    books.written = {"a": "confirmed", "b": "refused"}
    assert [await soon(mine), await soon(other)] == ["confirmed", "refused"]
    assert ["a", "b"] in books.asked, "one question for everyone"


async def test_all_who_wait_for_the_same_hear_the_same(
    hints_only: None, books: Books, waiting: Outcomes[str]
) -> None:
    same = wait(waiting, "a", "a", "a")
    await turn()
    books.written["a"] = "confirmed"
    waiting.hint(["a"])
    assert await soon(asyncio.gather(*same)) == ["confirmed"] * 3
    assert books.asked == [["a"]]


async def test_what_this_process_committed_itself_is_not_asked_for(
    hints_only: None, books: Books, waiting: Outcomes[str]
) -> None:
    (mine,) = wait(waiting, "a")
    await turn()
    waiting.resolve({"a": "confirmed", "b": "nobody listens"})
    assert await soon(mine) == "confirmed"
    assert books.asked == []


async def test_patience_ends(hints_only: None, books: Books, waiting: Outcomes[str]) -> None:
    assert await waiting.wait("a", AT_ONCE_S) is None
    waiting.hint(["a"])
    await turn(5)
    assert books.asked == [], "nobody waits any more"


async def test_one_loses_patience_and_the_other_does_not(
    hints_only: None, books: Books, waiting: Outcomes[str]
) -> None:
    patient, gone = wait(waiting, "a", "a")
    assert await waiting.wait("a", AT_ONCE_S) is None
    gone.cancel()
    await asyncio.wait([gone])
    waiting.resolve({"a": "confirmed"})
    assert await soon(patient) == "confirmed"


async def test_while_the_database_is_away_everyone_goes_on_waiting(
    polls: None, books: Books, waiting: Outcomes[str]
) -> None:
    books.errors = [TimeoutError(), ConnectionRefusedError()]
    books.written["a"] = "confirmed"
    (mine,) = wait(waiting, "a")
    assert await soon(mine) == "confirmed"
    assert len(books.asked) >= 3


async def test_when_it_closes_nobody_waits_any_longer(books: Books, waiting: Outcomes[str]) -> None:
    first, second = wait(waiting, "a", "b")
    await turn()
    waiting.close()
    assert [await soon(first), await soon(second)] == [None, None]
    assert await soon(waiting.wait("a", NEVER_S)) is None
