"""Three-phase commits whose coordinator is dead are finished by the participants, whoever of them lives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial

import httpx
import msgspec
import pytest

from infra.native import Stack
from services.commit.records import DEAD_AFTER_S
from services.commit.route import read
from services.commit.termination import BEAT, Terminator
from services.contract.commit import PARTICIPANTS, Refused, Told, Work
from services.runtime.ids import uuid7
from tests.e2e.shopper import eventually
from tests.integration.commits import Desk, asked, buy, desk
from tests.integration.loops import running

YES = Told(vote="yes")


class Site:
    """A participant with its loops. `reachable`: what of the others it can speak to."""

    def __init__(self, opened: Desk, name: str, sites: dict[str, "Site"]) -> None:
        self.desk = opened
        self.lives = True
        self.sites = sites
        self.calls = 0
        peers = httpx.AsyncClient(transport=httpx.MockTransport(self.carry), base_url="http://peers")
        self.terminator = Terminator(name, opened.route, peers, silence_s=0.5)

    async def carry(self, request: httpx.Request) -> httpx.Response:
        """Instead of a network between processes, and of killing them."""
        self.calls += 1
        site = self.sites[request.url.path.split("/")[1]]
        if not (self.lives and site.lives):
            raise httpx.ConnectError("nobody is there", request=request)
        answers = await site.desk.route.handle(read(request.content))
        return httpx.Response(200, content=msgspec.json.encode(answers))

    async def beat(self) -> None:
        """One heartbeat."""
        async with self.desk.database.connection() as sql:
            await sql.execute(BEAT, DEAD_AFTER_S)


async def no_refusal(sql: object, works: Sequence[Work]) -> Sequence[Refused]:
    return []


@pytest.fixture
async def sites(native: Stack) -> AsyncIterator[dict[str, Site]]:
    async with contextlib.AsyncExitStack() as opened:
        sites: dict[str, Site] = {}
        for name in PARTICIPANTS:
            sites[name] = Site(await opened.enter_async_context(desk(native, name, no_refusal)), name, sites)
        yield sites


@contextlib.asynccontextmanager
async def looking(*sites: Site) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as opened:
        for site in sites:
            await opened.enter_async_context(running(site.terminator.beat))
            await opened.enter_async_context(running(site.terminator.look))
        yield


async def voted(sites: dict[str, Site], *, protocol: str = "3pc") -> str:
    """A transaction for which all have voted yes; then its coordinator has died."""
    transaction, work = uuid7(), buy({})
    for site in sites.values():
        await site.beat()
        assert await site.desk.vote(transaction, work, protocol=protocol) == YES
    return transaction


async def outcomes(sites: dict[str, Site], transaction: str) -> list[object]:
    """What each has come to, "" while it is in doubt."""
    query = "SELECT outcome FROM branches WHERE transaction_id = $1::uuid"
    found: list[object] = []
    for site in sites.values():
        prepared = await site.desk.prepared(transaction)
        rows = await site.desk.fetch(query, transaction)
        found.append("" if prepared or not rows else rows[0][0])
    return found


async def test_where_nobody_has_heard_a_pre_commit_all_abort(sites: dict[str, Site]) -> None:
    transaction = await voted(sites)
    async with looking(*sites.values()):
        await eventually(partial(outcomes, sites, transaction), ["aborted"] * 3)


async def test_where_one_has_heard_a_pre_commit_all_commit(sites: dict[str, Site]) -> None:
    transaction = await voted(sites)
    told = await sites["payment"].desk.say("pre-commit", transaction, protocol="3pc")
    assert told.state == "pre-committed"
    async with looking(*sites.values()):
        await eventually(partial(outcomes, sites, transaction), ["committed"] * 3)
        notes = partial(sites["payment"].desk.fetch, "SELECT count(*) FROM precommits")
        await eventually(notes, [(0,)])


async def test_hundreds_that_miss_their_coordinator_at_once_are_asked_about_together(
    sites: dict[str, Site],
) -> None:
    """A call each took the living so long to answer that they were taken for dead, for a minute."""
    transactions = [await voted(sites) for _ in range(150)]
    for site in sites.values():
        for transaction in transactions[::2]:
            await site.desk.say("pre-commit", transaction, protocol="3pc")

    async def ended() -> list[str]:
        found = [set(await outcomes(sites, transaction)) for transaction in transactions]
        return sorted("/".join(sorted(map(str, states))) for states in found)

    async with looking(*sites.values()):
        await eventually(ended, ["aborted"] * 75 + ["committed"] * 75)
    assert sum(site.calls for site in sites.values()) < 150


async def test_who_has_not_voted_yet_aborts_by_being_asked(sites: dict[str, Site]) -> None:
    transaction, work = uuid7(), buy({})
    for name in ("inventory", "payment"):
        assert await sites[name].desk.vote(transaction, work, protocol="3pc") == YES
    async with looking(*sites.values()):
        await eventually(partial(outcomes, sites, transaction), ["aborted"] * 3)
    assert (await sites["order"].desk.vote(transaction, work, protocol="3pc")).vote == "busy"


async def test_the_living_go_on_without_a_dead_participant_and_it_follows(sites: dict[str, Site]) -> None:
    transaction = await voted(sites)
    dead, *living = (sites[name] for name in ("order", "inventory", "payment"))
    await living[0].desk.say("pre-commit", transaction, protocol="3pc")
    dead.lives = False
    async with looking(*living):
        await eventually(partial(outcomes, sites, transaction), ["", "committed", "committed"])
        dead.lives = True
        async with looking(dead):
            await eventually(partial(outcomes, sites, transaction), ["committed"] * 3)


async def test_a_participant_that_was_down_decides_nothing_alone(sites: dict[str, Site]) -> None:
    """It may have missed what the others did before they died in their turn."""
    transaction = await voted(sites)
    for site in sites.values():
        site.lives = False
    alone = sites["order"]
    async with alone.desk.database.connection() as sql:
        await sql.execute("UPDATE awake SET until = until - interval '1 hour'")
    await alone.beat()
    alone.lives = True
    assert (await alone.desk.say("inquire", transaction, protocol="3pc")).recovering
    async with looking(alone):
        with pytest.raises(AssertionError, match="still"):
            await eventually(partial(outcomes, sites, transaction), ["aborted"] * 3, within_s=7)
        assert await alone.desk.prepared(transaction) != []
        for site in sites.values():
            site.lives = True
        async with looking(*(site for site in sites.values() if site is not alone)):
            await eventually(partial(outcomes, sites, transaction), ["aborted"] * 3)


@pytest.mark.parametrize("jump", ["-", "+"])
async def test_who_beats_without_a_gap_is_not_recovering_and_who_wakes_up_is(
    sites: dict[str, Site], jump: str
) -> None:
    """Nor does anybody know who finds that he has beaten in a time to come: the clock was put back."""
    site = sites["order"]
    transaction = await voted(sites)
    assert not (await site.desk.say("inquire", transaction, protocol="3pc")).recovering
    async with site.desk.database.connection() as sql:
        await sql.execute(f"UPDATE awake SET until = until {jump} interval '1 hour'")
    told = await site.desk.say("inquire", transaction, protocol="3pc")
    assert told.recovering, "also before its first heartbeat"
    await site.beat()
    assert (await site.desk.say("inquire", transaction, protocol="3pc")).recovering
    later = uuid7()
    assert await site.desk.vote(later, buy({}), protocol="3pc") == YES
    assert not (await site.desk.say("inquire", later, protocol="3pc")).recovering


async def test_two_phase_commit_stays_in_doubt_and_live_transactions_are_left_alone(
    sites: dict[str, Site],
) -> None:
    blocked, orphan = await voted(sites, protocol="2pc"), await voted(sites)
    async with looking(*sites.values()):
        await eventually(partial(outcomes, sites, orphan), ["aborted"] * 3)
        live = await voted(sites)
        assert await outcomes(sites, live) == [""] * 3
    assert await outcomes(sites, blocked) == [""] * 3
    answers = await asyncio.gather(*(site.desk.ask(asked("commit", live)) for site in sites.values()))
    assert [told.state for [told] in answers] == ["committed"] * 3
