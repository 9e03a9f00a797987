"""Rounds of load in which anybody dies, stands still or loses messages, some at a time; each is judged."""

import asyncio
import time
import xmlrpc.client
from collections.abc import Callable, Iterable
from contextlib import suppress

import httpx
import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from infra.native import Failure
from infra.native import Stack as Native
from lab.at_rest import all_ended, left_prepared
from lab.crash.partition import mend, others, split_orders
from lab.crash.rounds import LOAD_S, Arm, Blow, Flush, Kill, Pause, Round, draw
from lab.crash.troublemakers import troublemakers
from lab.faults import Faults
from lab.stacks import seeded
from lab.state import Stack, Trouble
from lab.witness import Seen, Witness


class Outcome(msgspec.Struct, frozen=True):
    """A line of `rounds.jsonl`. Empty `wrong`: nothing was lost."""

    seed: int
    told: str
    """What was done to it."""

    acknowledged: int
    repeated: int
    ended_s: float
    """From the last blow's end until all had ended."""

    split: int
    """Orders that three-phase commit split, because somebody who was taken for dead was not."""

    wrong: list[str]

    @property
    def command(self) -> str:
        """What repeats it."""
        return f"tradeoff soak --seed {self.seed} --rounds 1"


async def soak(
    native: Native, stack: Stack, seeds: Iterable[int], minutes: float, tell: Callable[[Outcome], None]
) -> None:
    """A round for each seed; none begins when the minutes are over."""
    await seeded(stack)
    until = time.monotonic() + minutes * 60
    for seed in seeds:
        if time.monotonic() > until:
            break
        tell(await one(native, stack, draw(seed, list(stack.ports))))


async def one(native: Native, stack: Stack, drawn: Round) -> Outcome:
    with Faults(stack) as faults:
        await asyncio.to_thread(faults.put, "order")  # or the stack takes none
        witness = Witness(stack, drawn.rate, LOAD_S, drawn.protocol)
        began = time.monotonic()
        async with troublemakers(stack, drawn.protocol):
            async with asyncio.TaskGroup() as blows:
                for at_s, blow in drawn.blows:
                    blows.create_task(_strike(native, stack, faults, at_s, blow))
            await asyncio.sleep(max(0.0, began + LOAD_S - time.monotonic()))
        await asyncio.to_thread(faults.clear)
        over, wrong = time.monotonic(), await _well_again(native, stack)
        ended_s = time.monotonic() - over
        seen = await witness.verdict()
        wrong += seen.strange + await left_prepared(stack)
    split, broken = await _judge(stack, drawn, seen)
    return Outcome(
        drawn.seed,
        str(drawn),
        seen.acknowledged,
        seen.repeated,
        ended_s=round(ended_s, 1),
        split=split,
        wrong=wrong + broken,
    )


async def _strike(native: Native, stack: Stack, faults: Faults, at_s: float, blow: Blow) -> None:
    """Who is dead already cannot be struck."""
    await asyncio.sleep(at_s)
    with suppress(xmlrpc.client.Fault, httpx.TransportError, RedisError, OSError):
        match blow:
            case Kill(whom):
                native.supervisor.signal(whom, "KILL")
            case Pause(whom, for_s):
                native.supervisor.signal(whom, "STOP")
                try:
                    await asyncio.sleep(for_s)
                finally:
                    native.supervisor.signal(whom, "CONT")
            case Flush():
                async with Redis.from_url(stack.redis_url) as redis:
                    await redis.flushall()
            case Arm(role, fault):
                await asyncio.to_thread(faults.put, role, fault)


async def _well_again(native: Native, stack: Stack) -> list[str]:
    """What is not, in the end."""
    try:
        await asyncio.to_thread(native.wait_ready)
        await all_ended(stack)
    except (Trouble, Failure) as trouble:
        return [str(trouble)]
    return []


async def _judge(stack: Stack, drawn: Round, seen: Seen) -> tuple[int, list[str]]:
    if not drawn.may_split or not (split := split_orders(seen.findings)):
        return 0, seen.broken
    return len(split), others(seen, split) + await mend(stack, split)
