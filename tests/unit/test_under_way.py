"""How many transactions a coordinator lets go at a time, and who waits."""

import asyncio
import time
from collections.abc import Callable

import pytest

from orchestrator.core import backoff, two_phase
from orchestrator.transactions import GROUPED, Row
from orchestrator.under_way import GATHER_S, GROUPS_AT_ONCE, MOST_LIVE, Live, UnderWay
from services.contract.commit import PARTICIPANTS, Protocol, Work
from services.contract.messages import Line


def live(number: int, sku: str = "", *, protocol: Protocol = "2pc", age_s: float = 0) -> Live:
    """With the votes to come, for a product that by default nobody else wants."""
    id = str(number)
    state, _ = two_phase.begin(PARTICIPANTS, (id,), 1)
    work = Work(id, "buy", f"customer-{id}", 1, "EUR", (Line(sku or f"sku-{id}", 1),))
    return Live(Row(id, protocol, 0, state, (work,), "", time.monotonic() - age_s))


async def waits(something: asyncio.Task[None]) -> bool:
    _, pending = await asyncio.wait([something], timeout=GATHER_S / 10)
    return bool(pending)


async def test_beyond_the_most_that_fit_the_next_start_waits_for_one_to_end() -> None:
    under_way, first = UnderWay(), live(0)
    under_way.enter(first)
    for number in range(1, MOST_LIVE - 1):
        under_way.enter(live(number))
    await under_way.room()
    under_way.enter(live(MOST_LIVE))
    comer = asyncio.create_task(under_way.room())
    assert await waits(comer)
    under_way.leave(first)
    await asyncio.wait_for(comer, GATHER_S)
    assert under_way.get("0") is None and under_way.get("1") is not None


async def test_a_group_waits_while_others_are_under_way_but_not_for_long() -> None:
    under_way, groups = UnderWay(), [live(n, protocol=GROUPED) for n in range(GROUPS_AT_ONCE)]
    await asyncio.wait_for(under_way.gather(), GATHER_S / 2)
    for group in groups:
        under_way.enter(group)
    gathering = asyncio.create_task(under_way.gather())
    assert await waits(gathering)
    under_way.leave(groups[0])
    await asyncio.wait_for(gathering, GATHER_S / 2)

    under_way.enter(groups[0])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(under_way.gather(), GATHER_S / 2)
    await under_way.gather()  # a group that is in doubt holds up nobody


async def test_single_orders_are_no_group() -> None:
    under_way = UnderWay()
    for number in range(GROUPS_AT_ONCE):
        under_way.enter(live(number))
    await asyncio.wait_for(under_way.gather(), GATHER_S / 2)


@pytest.mark.parametrize("way_out", [UnderWay.decided, UnderWay.leave], ids=["decided", "ended"])
async def test_who_wants_the_same_votes_when_the_one_before_is_decided(
    way_out: Callable[[UnderWay, Live], None],
) -> None:
    under_way, first, second, other = UnderWay(), live(1, "vase"), live(2, "vase"), live(3, "lamp")
    for one in (first, second, other):
        under_way.enter(one)
    await under_way.take_turn(first)
    await under_way.take_turn(other)
    turn = asyncio.create_task(under_way.take_turn(second))
    assert await waits(turn)
    way_out(under_way, first)
    await asyncio.wait_for(turn, GATHER_S)


async def test_after_a_decision_the_next_round_stands_in_line_anew() -> None:
    under_way, first, second = UnderWay(), live(1, "vase"), live(2, "vase")
    under_way.enter(first)
    under_way.enter(second)
    under_way.decided(first)
    again = asyncio.create_task(under_way.take_turn(first))
    assert await waits(again)
    under_way.decided(second)
    await asyncio.wait_for(again, GATHER_S)


async def test_nobody_waits_for_a_turn_beyond_the_deadline() -> None:
    under_way, first, late = UnderWay(), live(1, "vase"), live(2, "vase", age_s=backoff.DEADLINE_S)
    under_way.enter(first)
    under_way.enter(late)
    await under_way.take_turn(late)
    assert late.turn is not None and not late.turn.has_come.is_set()


async def test_who_leaves_late_does_not_take_its_successor_along() -> None:
    """A shard that was lost and has come back: the transaction is resumed before the old run has noticed."""
    under_way, old, new = UnderWay(), live(1, protocol=GROUPED), live(1, protocol=GROUPED)
    under_way.enter(old)
    under_way.enter(new)
    under_way.leave(old)
    assert under_way.get("1") is new
    under_way.leave(new)
    assert under_way.get("1") is None
    await asyncio.wait_for(under_way.gather(), GATHER_S / 2)
