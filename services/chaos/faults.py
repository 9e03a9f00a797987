"""The faults of one process: what they are, which are armed, and who is held by one."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, Self

import structlog
from pydantic import Field

from services.chaos.points import MESSAGES, POINTS, STARTS
from services.contract.commit import Participant, Verb
from services.runtime.http import Strict

log = structlog.get_logger()

LONGEST_DELAY_S = 60.0

Role = Literal["orchestrator", Participant]
Times = Annotated[int | None, Field(ge=1, description="then it is over; null: until it is taken away")]


Seconds = Annotated[float, Field(ge=0, le=LONGEST_DELAY_S, description="of a delay")]


class Occasional(Strict):
    """Met `times` times, each time that it could be with the probability `share`, by dice of its own: the
    same `seed` draws the same again for the same fault, and something else for another."""

    times: Times = 1
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: int = 0


class PointFault(Occasional):
    """At `ROLE@POINT` the process is gone at once, whoever comes there waits until the faults of this
    process are set anew, or it takes him so many seconds more."""

    what: Literal["crash", "hold", "slow"]
    at: str
    seconds: Seconds = 1.0


class CallFault(Occasional):
    """A call to a role, of any verb unless it names one, is lost, answered in vain, late, or made twice."""

    what: Literal["drop-request", "drop-answer", "delay", "duplicate"]
    to: Role
    verb: Verb | None = None
    seconds: Seconds = 1.0


class MessageFault(Occasional):
    """A command of a saga, or the answer to one, is lost on its way to Kafka, sent twice, or sent late, so
    that others overtake it; if the process dies meanwhile, it is lost, too.

    A saga asks again for what was lost. But nobody sends its start again, so that is never lost; and the
    coordinator's last words to the order service, which bear the same names, are lost for good.
    """

    what: Literal["drop-message", "duplicate-message", "delay-message"]
    message: str | None = None
    seconds: Seconds = 1.0


class Partition(Strict):
    """No HTTP call, and no answer, from one side to another. Kafka and the databases stay within reach."""

    what: Literal["partition"]
    sides: Annotated[list[list[Role]], Field(min_length=2)]


AnyFault = PointFault | CallFault | MessageFault | Partition
Fault = Annotated[AnyFault, Field(discriminator="what")]


@dataclass(slots=True, eq=False)
class _Armed:
    fault: AnyFault
    left: int | None
    dice: random.Random
    share: float
    met: int = 0

    @classmethod
    def of(cls, fault: AnyFault) -> Self:
        if isinstance(fault, Occasional):
            return cls(fault, fault.times, random.Random(fault.model_dump_json()), fault.share)
        return cls(fault, None, random.Random(0), 1.0)

    def take(self) -> bool:
        if self.left == 0 or self.dice.random() >= self.share:
            return False
        self.left = self.left and self.left - 1
        self.met += 1
        return True


@dataclass(slots=True, eq=False)
class Held:
    at: str
    transaction: str
    since: float = field(default_factory=time.time)


class Faults:
    """Those of a process that plays `role`. They die with it."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._armed: list[_Armed] = []
        self._held: list[Held] = []
        self._released = asyncio.Event()
        self._reached: Counter[str] = Counter()

    def set(self, faults: Iterable[AnyFault]) -> None:
        """From now on these and no others. Who is held goes on."""
        self._armed = [_Armed.of(fault) for fault in faults]
        self._released.set()
        self._released = asyncio.Event()

    def unknown(self, faults: Iterable[AnyFault]) -> str:
        """What is wrong: a point that this process never comes to, or a message that it never sends."""
        points = [f"{self._role}@{point}" for point in POINTS[self._role]]
        for fault in faults:
            if isinstance(fault, PointFault) and fault.at not in points:
                return f"{fault.at} is not one of {', '.join(points)}"
            if isinstance(fault, MessageFault) and fault.message not in (None, *MESSAGES[self._role]):
                return f"{fault.message} is not one of {', '.join(MESSAGES[self._role])}"
        return ""

    async def at(self, point: str, transaction: str) -> None:
        """The process has come to a point; it may not come any further."""
        self._reached[point] += 1
        name = f"{self._role}@{point}"
        for armed in self._armed:
            if isinstance(armed.fault, PointFault) and armed.fault.at == name and armed.take():
                log.warning("a fault is met", what=armed.fault.what, at=name, transaction=transaction)
                match armed.fault.what:
                    case "crash":
                        # As by SIGKILL, to which the first process of a container is deaf: no handler
                        # runs, nothing is flushed.
                        os._exit(128 + signal.SIGKILL)
                    case "slow":
                        await asyncio.sleep(armed.fault.seconds)
                    case "hold":
                        await self._hold(Held(name, transaction))
                        return  # by now others are armed

    async def _hold(self, held: Held) -> None:
        self._held.append(held)
        try:
            await self._released.wait()
        finally:
            self._held.remove(held)

    def parted_from(self, role: str) -> bool:
        partitions = [armed.fault for armed in self._armed if isinstance(armed.fault, Partition)]
        return any(self._part(partition.sides, role) for partition in partitions)

    def _part(self, sides: Sequence[Sequence[str]], role: str) -> bool:
        mine, its = (next((side for side in sides if one in side), None) for one in (self._role, role))
        return mine is not None and its is not None and mine is not its

    def of_call(self, to: str, verbs: Set[str]) -> list[CallFault]:
        """What happens to this call, which asks for these things."""
        return [
            armed.fault
            for armed in self._armed
            if isinstance(armed.fault, CallFault)
            and armed.fault.to == to
            and (armed.fault.verb is None or armed.fault.verb in verbs)
            and armed.take()
        ]

    def of_message(self, name: str) -> list[MessageFault]:
        """What happens to this message on its way to Kafka."""
        return [
            armed.fault
            for armed in self._armed
            if isinstance(armed.fault, MessageFault)
            and armed.fault.message in (None, name)
            and name in MESSAGES[self._role]
            and not (armed.fault.what == "drop-message" and name in STARTS)
            and armed.take()
        ]

    def told(self) -> dict[str, Any]:
        """For GET /faults."""
        return {
            "role": self._role,
            "now": time.time(),
            "faults": [{**a.fault.model_dump(), "left": a.left, "met": a.met} for a in self._armed],
            "held": [asdict(held) for held in self._held],
            "reached": {point: self._reached[point] for point in POINTS[self._role]},
        }
