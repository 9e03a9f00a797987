"""What happens in a round of a soak, drawn from its seed: a protocol, a rate, and blows that overlap."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

from lab.crash.rows import THREE_PHASE, points
from lab.workload import PROTOCOLS
from services.contract.commit import PARTICIPANTS

LOAD_S = 12.0
RATES = (40.0, 100.0, 200.0)
SERVERS = ("pg-order", "pg-payment", "pg-inventory", "pg-orchestrator", "kafka", "redis", "nginx")
LONGEST_S = 8.0
"""How long somebody stands still: longer than any lease, and than Kafka's patience with a silent member."""

Fault = dict[str, Any]


class Kill(NamedTuple):
    """SIGKILL, of a process or a server."""

    whom: str

    def __str__(self) -> str:
        return f"{self.whom} dies"


class Pause(NamedTuple):
    """SIGSTOP, and SIGCONT after a while."""

    whom: str
    for_s: float

    def __str__(self) -> str:
        return f"{self.whom} stands still for {self.for_s:.1f} s"


class Flush(NamedTuple):
    """Redis forgets everything."""

    def __str__(self) -> str:
        return "Redis forgets everything"


class Arm(NamedTuple):
    """A fault for all processes of a role, until the round is over."""

    role: str
    fault: Fault

    def __str__(self) -> str:
        what, *rest = self.fault.values()
        return " ".join([self.role, str(what), *(str(one) for one in rest if isinstance(one, str))])


Blow = Kill | Pause | Flush | Arm


class Round(NamedTuple):
    seed: int
    protocol: str
    rate: float
    blows: tuple[tuple[float, Blow], ...]
    """When, in seconds from the first order; in this order."""

    @property
    def may_split(self) -> bool:
        """Three-phase commit takes the silent for dead. Whoever only stands still proves it wrong."""
        return self.protocol == THREE_PHASE and any(
            isinstance(blow, Pause) or (isinstance(blow, Arm) and not blow.fault["what"] == "crash")
            for _, blow in self.blows
        )

    def __str__(self) -> str:
        told = "; ".join(f"at {at_s:.1f} s {blow}" for at_s, blow in self.blows)
        return f"seed {self.seed}: {self.protocol}, {self.rate:.0f} orders a second; {told}"


def draw(seed: int, processes: Sequence[str]) -> Round:
    """The same for the same seed and processes (`order-1`, …)."""
    dice = Random(seed)
    protocol = dice.choice(PROTOCOLS)
    kinds: tuple[Callable[[Random, str, Sequence[str]], Blow], ...] = (_kill, _pause, _crash, _astray, _flush)
    drawn = [
        (dice.uniform(1.0, LOAD_S - 1.0), dice.choices(kinds, (4, 3, 3, 2, 1))[0](dice, protocol, processes))
        for _ in range(dice.choice((1, 2, 2, 3)))
    ]
    return Round(seed, protocol, dice.choice(RATES), tuple(sorted(drawn, key=lambda blow: blow[0])))


def _kill(dice: Random, protocol: str, processes: Sequence[str]) -> Blow:
    return Kill(_somebody(dice, processes))


def _pause(dice: Random, protocol: str, processes: Sequence[str]) -> Blow:
    return Pause(_somebody(dice, processes), dice.uniform(0.5, LONGEST_S))


def _crash(dice: Random, protocol: str, processes: Sequence[str]) -> Blow:
    at = dice.choice(list(points(protocol)))
    return Arm(at.partition("@")[0], {"what": "crash", "at": at})


def _astray(dice: Random, protocol: str, processes: Sequence[str]) -> Blow:
    """A share of the messages is lost, late or twice: by HTTP of a commit, by Kafka of a saga."""
    share, seed = dice.choice((0.02, 0.1, 0.3)), dice.randrange(2**16)
    some: Fault = {"times": None, "share": share, "seed": seed}
    if protocol == PROTOCOLS[0]:
        what = dice.choice(("drop-message", "duplicate-message", "delay-message"))
        return Arm(dice.choice(("orchestrator", *PARTICIPANTS)), {"what": what, **some})
    what = dice.choice(("drop-request", "drop-answer", "delay", "duplicate"))
    return Arm("orchestrator", {"what": what, "to": dice.choice(PARTICIPANTS), **some})


def _flush(dice: Random, protocol: str, processes: Sequence[str]) -> Blow:
    return Flush()


def _somebody(dice: Random, processes: Sequence[str]) -> str:
    """A process, or a server as often."""
    return dice.choice(dice.choice((sorted(processes), SERVERS)))
