"""The faults of one process: what they are, which are armed, and who is held by one."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

import structlog
from pydantic import Field

from services.chaos.points import POINTS
from services.contract.commit import Participant, Verb
from services.runtime.http import Strict

log = structlog.get_logger()

LONGEST_DELAY_S = 60.0

Role = Literal["orchestrator", Participant]
Times = Annotated[int | None, Field(ge=1, description="then it is over; null: until it is taken away")]


class PointFault(Strict):
    """At `ROLE@POINT` the process is killed (SIGKILL), or whoever comes there waits until the faults of this
    process are set anew."""

    what: Literal["crash", "hold"]
    at: str
    times: Times = 1


class MessageFault(Strict):
    """A call to a role, of any verb unless it names one, is lost, answered in vain, late, or made twice."""

    what: Literal["drop-request", "drop-answer", "delay", "duplicate"]
    to: Role
    verb: Verb | None = None
    seconds: Annotated[float, Field(ge=0, le=LONGEST_DELAY_S, description="of a delay")] = 1.0
    times: Times = 1


class Partition(Strict):
    """No HTTP call, and no answer, from one side to another. Kafka and the databases stay within reach."""

    what: Literal["partition"]
    sides: Annotated[list[list[Role]], Field(min_length=2)]


Fault = Annotated[PointFault | MessageFault | Partition, Field(discriminator="what")]


@dataclass(slots=True, eq=False)
class _Armed:
    fault: PointFault | MessageFault | Partition
    left: int | None
    met: int = 0

    def take(self) -> bool:
        if self.left == 0:
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

    def set(self, faults: Iterable[PointFault | MessageFault | Partition]) -> None:
        """From now on these and no others. Who is held goes on."""
        self._armed = [_Armed(fault, getattr(fault, "times", None)) for fault in faults]
        self._released.set()
        self._released = asyncio.Event()

    def unknown(self, faults: Iterable[PointFault | MessageFault | Partition]) -> list[str]:
        """The points among these that this process never comes to."""
        points = {f"{self._role}@{point}" for point in POINTS[self._role]}
        return [fault.at for fault in faults if isinstance(fault, PointFault) and fault.at not in points]

    async def at(self, point: str, transaction: str) -> None:
        """The process has come to a point; it may not come any further."""
        self._reached[point] += 1
        name = f"{self._role}@{point}"
        for armed in self._armed:
            if isinstance(armed.fault, PointFault) and armed.fault.at == name and armed.take():
                log.warning("a fault is met", what=armed.fault.what, at=name, transaction=transaction)
                if armed.fault.what == "crash":
                    os.kill(os.getpid(), signal.SIGKILL)
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

    def of_call(self, to: str, verbs: Set[str]) -> list[MessageFault]:
        """What happens to this call, which asks for these things."""
        return [
            armed.fault
            for armed in self._armed
            if isinstance(armed.fault, MessageFault)
            and armed.fault.to == to
            and (armed.fault.verb is None or armed.fault.verb in verbs)
            and armed.take()
        ]

    def told(self) -> dict[str, Any]:
        """For GET /faults."""
        return {
            "role": self._role,
            "faults": [{**a.fault.model_dump(), "left": a.left, "met": a.met} for a in self._armed],
            "held": [asdict(held) for held in self._held],
            "reached": {point: self._reached[point] for point in POINTS[self._role]},
        }
