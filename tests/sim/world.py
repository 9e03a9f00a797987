"""The world around a saga, for the simulator and the explorer: participants, and what may never happen.

A participant is what `services/runtime/inbox.py` and the handlers make of Postgres, without Postgres:
an inbox of decided steps, and effects that happen in the same transaction as their inbox record.
"""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.core import saga as core
from orchestrator.core.definition import Definition
from orchestrator.core.saga import Effect, Event, Phase, Saga, Turn
from orchestrator.core.sagas import CANCEL, ORDER

UNDOES = {**ORDER.undoes(), **CANCEL.undoes()}
REFUSABLE = frozenset(UNDOES.values())
"""The steps that stock or money can refuse for good. All others have to happen."""

CONFIRMED = frozenset({"order.hold", "order.charge", "order.ship", "order.confirm"})
CANCELLED = CONFIRMED | {"cancel.refund", "cancel.restock", "cancel.close"}


class Violation(Exception):
    """What may never happen has happened."""


def insist(promise: bool, broken: str) -> None:
    if not promise:
        raise Violation(broken)


@dataclass(frozen=True, slots=True)
class Shop:
    """Order, payment and inventory. Step names are unique, so one set serves for all three."""

    inbox: frozenset[tuple[str, bool]] = frozenset()  # step, done or refused: decided once, for ever
    effects: frozenset[str] = frozenset()

    def decided(self, step: str) -> bool | None:
        return True if (step, True) in self.inbox else False if (step, False) in self.inbox else None

    @property
    def held(self) -> bool:
        return "order.hold" in self.effects and not {"order.release", "cancel.restock"} & self.effects

    @property
    def charged(self) -> bool:
        return "order.charge" in self.effects and not {"order.refund", "cancel.refund"} & self.effects


def receive(shop: Shop, step: str, vote: bool) -> tuple[Shop, bool]:
    """One ask at its participant, and the answer; `vote` is what stock or money would say."""
    decided = shop.decided(step)
    if decided is not None:
        return shop, decided  # asked before: the same answer, and no second effect
    if step not in UNDOES:
        shop = Shop(shop.inbox | {(step, vote)}, shop.effects)
        return (happen(shop, step) if vote else shop), vote
    undone = UNDOES[step]
    was_done = shop.decided(undone)
    tombstone = {(undone, False)} if was_done is None else set()
    shop = Shop(shop.inbox | {(step, True)} | tombstone, shop.effects)
    return (happen(shop, step) if was_done else shop), True


def happen(shop: Shop, step: str) -> Shop:
    """A row changes in a database. This is where a wrong saga does its harm."""
    insist(step not in shop.effects, f"{step} happened twice")
    if step in ("order.ship", "order.confirm"):
        insist(shop.held and shop.charged, f"{step} of an order that is not both held and charged")
    if step in ("order.release", "order.refund"):
        insist(not {"order.ship", "order.confirm"} & shop.effects, f"{step} after the pivot")
    if step == "order.reject":
        insist("order.confirm" not in shop.effects, "a confirmed order was rejected")
    if step == "order.confirm":
        insist("order.reject" not in shop.effects, "a rejected order was confirmed")
    if step == "cancel.close":
        insist(not shop.held and not shop.charged, "cancelled before goods and money were back")
    return Shop(shop.inbox, shop.effects | {step})


def check(definition: Definition, saga: Saga, shop: Shop) -> None:
    """What must be true of every world in which the saga has ended, and for ever after."""
    if saga.phase is not Phase.ENDED:
        return
    if definition is CANCEL:
        insist(saga.outcome == "completed", "a cancellation was compensated")
        insist(shop.effects == CANCELLED, f"cancelled, but: {sorted(shop.effects)}")
    elif saga.outcome == "completed":
        insist(shop.effects == CONFIRMED, f"completed, but: {sorted(shop.effects)}")
    else:
        insist(not shop.charged, "ended compensated with the card still charged")
        insist(not shop.held, "ended compensated with the stock still held")
        insist("order.reject" in shop.effects, "ended compensated without telling the order")
        insist("order.confirm" not in shop.effects, "a compensated order was confirmed")


def before(definition: Definition) -> Shop:
    """The shop in which a saga of this kind begins."""
    if definition is ORDER:
        return Shop()
    return Shop(frozenset((step, True) for step in CONFIRMED), CONFIRMED)


@dataclass(frozen=True, slots=True)
class Rules:
    """The code under test: the real thing, unless a test plants a bug."""

    step: Callable[[Definition, Saga, Event], Turn] = core.step
    resume: Callable[[Definition, Saga], tuple[Effect, ...]] = core.resume
    receive: Callable[[Shop, str, bool], tuple[Shop, bool]] = receive
