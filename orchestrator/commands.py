"""From a step of a saga to the message that asks for it."""

from collections.abc import Callable

import msgspec

from orchestrator.core.exchange import Refusal
from orchestrator.core.saga import Saga
from orchestrator.core.sagas import DEFINITIONS
from services.contract.messages import (
    ChargeCard,
    CloseCancelledOrder,
    Command,
    ConfirmOrder,
    HoldStock,
    RefundCard,
    RejectOrder,
    ReleaseStock,
    RestockGoods,
    ShipStock,
    StartCancellation,
    StartOrder,
)
from services.contract.topics import COMMANDS_OF
from services.runtime.envelope import Envelope, seal

Start = StartOrder | StartCancellation

STARTS: dict[str, type[Start]] = {"order": StartOrder, "cancel": StartCancellation}
"""Which message starts a saga of each kind. The saga keeps it, as JSON, for as long as it runs."""

KIND_OF = {message.__name__: kind for kind, message in STARTS.items()}

_start_order = msgspec.json.Decoder(StartOrder)


def _hold(start: bytes, saga: Saga) -> Command:
    return HoldStock(_start_order.decode(start).lines)


def _charge(start: bytes, saga: Saga) -> Command:
    order = _start_order.decode(start)
    return ChargeCard(order.customer_id, order.amount, order.currency)


_MESSAGES: dict[str, Callable[[bytes, Saga], Command]] = {
    "order.hold": _hold,
    "order.charge": _charge,
    "order.release": lambda start, saga: ReleaseStock(),
    "order.refund": lambda start, saga: RefundCard(),
    "order.ship": lambda start, saga: ShipStock(),
    "order.confirm": lambda start, saga: ConfirmOrder(),
    "order.reject": lambda start, saga: RejectOrder(saga.reason, saga.detail),
    "cancel.refund": lambda start, saga: RefundCard(),
    "cancel.restock": lambda start, saga: RestockGoods(),
    "cancel.close": lambda start, saga: CloseCancelledOrder(),
}

_STEPS = {step.name: step for definition in DEFINITIONS.values() for step in definition.asked()}
_UNDOES = {undo: name for definition in DEFINITIONS.values() for undo, name in definition.undoes().items()}
assert _STEPS.keys() == _MESSAGES.keys(), "every step has a message"

TOPIC_OF = {name: COMMANDS_OF[step.participant] for name, step in _STEPS.items()}
UNDOES = {name: _UNDOES.get(name, "") for name in _STEPS}
REFUSABLE = {name for name, step in _STEPS.items() if step.undo is not None}


def command(step: str, start: bytes, saga: Saga) -> Command:
    """What the participant of `step` is told. Raises KeyError for a step of no saga."""
    return _MESSAGES[step](start, saga)


def rejection(refusal: Refusal, traceparent: str, source: str) -> Envelope:
    """What the order service is told of an order that two- or three-phase commit has to refuse."""
    message = RejectOrder(refusal.reason, refusal.detail)
    return _last_word(message, "order.reject", refusal.order, traceparent, source)


def completion(kind: str, order_id: str, traceparent: str, source: str) -> Envelope:
    """What it is told of one that the others have committed, and it alone has not."""
    message, step = _COMPLETIONS[kind]
    return _last_word(message, step, order_id, traceparent, source)


_COMPLETIONS: dict[str, tuple[Command, str]] = {
    "buy": (ConfirmOrder(), "order.confirm"),
    "cancel": (CloseCancelledOrder(), "cancel.close"),
}


def _last_word(message: Command, step: str, order_id: str, traceparent: str, source: str) -> Envelope:
    return seal(
        message,
        id=f"{order_id}/{step}/1",
        source=source,
        subject=order_id,
        traceparent=traceparent,
        step=step,
    )
