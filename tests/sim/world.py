"""The world around a saga, for the simulator and the explorer: participants, and what may never happen.

A participant is what the inbox's own rules and the handlers make of Postgres, without Postgres: an inbox
of decided steps, and effects that happen in the same transaction as their inbox record.
"""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.core import saga as core
from orchestrator.core.definition import Definition
from orchestrator.core.saga import Effect, Event, Phase, Saga, Turn
from orchestrator.core.sagas import CANCEL, ORDER
from services.runtime.inbox import DONE, UNDONE, Step, settle

UNDOES = {**ORDER.undoes(), **CANCEL.undoes()}
REFUSABLE = frozenset(UNDOES.values())
"""The steps that stock or money can refuse for good. All others have to happen."""

CONFIRMED = frozenset({"order.hold", "order.charge", "order.ship", "order.confirm"})
CANCELLED = CONFIRMED | {"cancel.refund", "cancel.restock", "cancel.close"}
UNSHIPPED = frozenset({"order.ship"})
"""What may be missing: an order is confirmed, and may be cancelled, before its shipment is done."""


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
    known = {("", decided): DONE if done else UNDONE for decided, done in shop.inbox}
    settled = settle(Step("", step, UNDOES.get(step, "")), known)
    answers = settled or {("", step): DONE if vote else UNDONE}
    recorded = {(decided, answer is DONE) for (_, decided), answer in answers.items()}
    shop = Shop(shop.inbox | recorded, shop.effects)
    return (happen(shop, step) if vote and not settled else shop), answers["", step] is DONE


def happen(shop: Shop, step: str) -> Shop:
    """A row changes in a database. This is where a wrong saga does its harm."""
    insist(step not in shop.effects, f"{step} happened twice")
    if step == "order.ship" and "cancel.restock" in shop.effects:
        return shop  # there is nothing left to ship
    if step in ("order.ship", "order.confirm"):
        paid = shop.charged or "cancel.refund" in shop.effects
        insist(shop.held and paid, f"{step} of an order that is not both held and charged")
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
        insist(shop.effects | UNSHIPPED == CANCELLED, f"cancelled, but: {sorted(shop.effects)}")
    elif saga.outcome == "completed":
        insist(shop.effects == CONFIRMED, f"completed, but: {sorted(shop.effects)}")
    else:
        insist(not shop.charged, "ended compensated with the card still charged")
        insist(not shop.held, "ended compensated with the stock still held")
        insist("order.reject" in shop.effects, "ended compensated without telling the order")
        insist("order.confirm" not in shop.effects, "a compensated order was confirmed")


def before(definition: Definition) -> tuple[Shop, ...]:
    """The shops in which a saga of this kind may begin."""
    if definition is ORDER:
        return (Shop(),)
    done = (CONFIRMED, CONFIRMED - UNSHIPPED)
    return tuple(Shop(frozenset((step, True) for step in steps), steps) for steps in done)


def under_way(definition: Definition, shop: Shop) -> frozenset[str]:
    """What an earlier saga has asked, and may ask again, when this one begins."""
    return UNSHIPPED - shop.effects if definition is CANCEL else frozenset()


@dataclass(frozen=True, slots=True)
class Rules:
    """The code under test: the real thing, unless a test plants a bug."""

    step: Callable[[Definition, Saga, Event], Turn] = core.step
    resume: Callable[[Definition, Saga], tuple[Effect, ...]] = core.resume
    receive: Callable[[Shop, str, bool], tuple[Shop, bool]] = receive
