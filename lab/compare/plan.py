"""What a comparison measures: its cells, in the order in which they are measured.

Protocols take turns within each round, so that a machine that is slow for a while is slow for all of them,
and another one begins each round, so that none has always the same before it.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from lab.crash.rows import AWAY, Row
from lab.workload import PRODUCTS, PROTOCOLS, SAGA
from services.contract.commit import PARTICIPANTS

Kind = Literal[
    "peak",
    "rate",
    "acknowledged",
    "armed",
    "slow",
    "lossy",
    "coordinator-dies",
    "coordinators-away",
    "participant-dies",
    "participant-away",
    "readers",
]
Goods = Literal["uniform", "zipf", "hot"]

HARDSHIPS: tuple[Kind, ...] = ("armed", "slow", "lossy")
"""The first is what the others are compared with: faults are looked for, and none is met."""

DEATHS: tuple[Kind, ...] = ("coordinator-dies", "coordinators-away", "participant-dies")
ABSENCES: tuple[Kind, ...] = ("participant-away",)

SKEW: dict[Goods, tuple[float, int]] = {"uniform": (0.0, PRODUCTS), "zipf": (0.99, PRODUCTS), "hot": (0.0, 1)}
"""Zipf's exponent, and how many products there are."""

MANY, FEW = 1024, 256
"""Orders in flight: what fills the batches of those that have some, and keeps busy those whose orders are
each a transaction."""

LEVELS = (0.3, 0.7, 0.9)
"""Of the protocol's own peak."""

IN_FAULTS = 0.3
"""The same for the runs with a fault, so that there is room to catch up."""


SLOW_S, LOST = 0.2, 0.02
"""How much longer a transaction of the payment takes; what share is lost, and what share comes twice."""

READ_RATE = 60.0
"""Orders a second while a reader looks, the same of each protocol: what he counts can be compared."""


class Cell(msgspec.Struct, frozen=True):
    """One thing that is measured of one protocol."""

    kind: Kind
    protocol: str
    goods: Goods = "uniform"
    level: float = 0.0
    """Share of the peak that is offered, in an open loop; 0: a closed loop, or a rate of its own."""

    round: int = 1

    def __str__(self) -> str:
        match self.kind:
            case "peak":
                return f"{self.protocol}, {self.goods} goods, as fast as it goes"
            case "rate":
                return f"{self.protocol}, at {self.level:.0%} of its peak"
            case "armed":
                return f"{self.protocol}, ready for faults, and none comes"
            case "slow":
                return f"{self.protocol}, the payment's transactions slow by {1000 * SLOW_S:.0f} ms"
            case "lossy":
                return f"{self.protocol}, some is lost and some comes twice"
            case "readers":
                return f"{self.protocol}, what readers see meanwhile"
            case "acknowledged":
                return f"{self.protocol}, until it is accepted, at {self.level:.0%} of its peak"
            case "coordinators-away":
                return f"{self.protocol}, all coordinators die and stay away"
            case "participant-away":
                return f"{self.protocol}, no replica of the payment is there"
            case kind:
                return f"{self.protocol}, a {kind.replace('-', ' ')}"


class Extent(NamedTuple):
    rounds: int
    losses: tuple[Kind, ...]
    goods: tuple[Goods, ...]
    levels: tuple[float, ...]
    acknowledged: bool
    hardships: tuple[Kind, ...]


SHORT = Extent(1, DEATHS[:1], ("uniform", "hot"), LEVELS[1:2], False, ())
"""Five minutes of them."""


def plan(rounds: int, *, short: bool, faults: bool) -> list[Cell]:
    """Faults need a stack that takes them."""
    full = Extent(rounds, (*DEATHS, *ABSENCES), tuple(SKEW), LEVELS, True, HARDSHIPS)
    return list(_cells(SHORT if short else full, faults))


def _cells(extent: Extent, faults: bool) -> Iterator[Cell]:
    if faults:  # while there are few orders to audit
        for kind in extent.losses:
            yield from (Cell(kind, protocol) for protocol in PROTOCOLS)
    rounds = range(1, extent.rounds + 1)
    for number in rounds:
        for goods in extent.goods:
            yield from (Cell("peak", protocol, goods, round=number) for protocol in _turn(number))
    for number in rounds:
        for level in extent.levels:
            yield from (Cell("rate", protocol, level=level, round=number) for protocol in _turn(number))
        if extent.acknowledged:
            level = LEVELS[1]
            yield from (
                Cell("acknowledged", protocol, level=level, round=number) for protocol in _turn(number)
            )
    for protocol in PROTOCOLS:
        yield Cell("readers", protocol)
    if faults:
        for kind in extent.hardships:
            yield from (Cell(kind, protocol, level=IN_FAULTS) for protocol in PROTOCOLS)


def _turn(number: int) -> tuple[str, ...]:
    """In round 1 the first protocol is the first, in round 2 the second."""
    first = (number - 1) % len(PROTOCOLS)
    return PROTOCOLS[first:] + PROTOCOLS[:first]


def loss(cell: Cell) -> Row:
    """Who dies where: all that could say no has said yes, and the outcome is not durable."""
    if cell.kind != "participant-dies":
        at = "before-send:order.ship" if cell.protocol == SAGA else "before-force:committing"
        return Row(
            cell.protocol, f"orchestrator@{at}", AWAY if cell.kind == "coordinators-away" else "restart"
        )
    at = "after-send:order.charge" if cell.protocol == SAGA else "before-commit"
    return Row(cell.protocol, f"payment@{at}", "restart")


def troubles(cell: Cell, seed: int) -> dict[str, list[dict[str, object]]]:
    """The faults of the `slow` and `lossy` cells, by role."""
    saga = cell.protocol == SAGA
    some: dict[str, object] = {"times": None, "share": LOST, "seed": seed}
    match cell.kind:
        case "slow":
            at = "before-save:order.charge" if saga else "before-work"
            return {"payment": [{"what": "slow", "at": f"payment@{at}", "seconds": SLOW_S, "times": None}]}
        case "lossy" if saga:
            return {"orchestrator": [{"what": what} | some for what in ("drop-message", "duplicate-message")]}
        case "lossy":
            kinds = ("drop-request", "duplicate")
            calls = [{"what": what, "to": to} | some for what in kinds for to in PARTICIPANTS]
            return {"orchestrator": calls}
        case _:
            return {}
