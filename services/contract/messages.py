"""What the services say to one another: commands in the imperative, answers and events in the past tense.

Pure data. A change may add a field with a default, never rename or remove one: messages of the
previous version are still in Kafka when the next version starts.
"""

from msgspec import Struct


class Message(Struct, frozen=True, forbid_unknown_fields=False):
    """Base of all payloads; unknown fields of a newer version are ignored."""


class Line(Message, frozen=True):
    """One product of an order. `price` is in minor units of the order's currency, per piece."""

    sku: str
    quantity: int
    price: int = 0


class HoldStock(Message, frozen=True):
    lines: tuple[Line, ...]


class ReleaseStock(Message, frozen=True):
    """Compensates HoldStock."""


class ShipStock(Message, frozen=True):
    pass


class RestockGoods(Message, frozen=True):
    """What a cancelled order had shipped goes back on the shelf."""


class ChargeCard(Message, frozen=True):
    """`amount` is in minor units of `currency`."""

    customer_id: str
    amount: int
    currency: str


class RefundCard(Message, frozen=True):
    """Compensates ChargeCard, and gives the money back when a confirmed order is cancelled."""


class ConfirmOrder(Message, frozen=True):
    pass


class RejectOrder(Message, frozen=True):
    """Ends an order whose saga was compensated; `reason` is the first refusal."""

    reason: str
    detail: str


class CloseCancelledOrder(Message, frozen=True):
    """Everything of a cancelled order has been undone."""


class StartOrder(Message, frozen=True):
    """Asks the orchestrator to run the order, under its protocol."""

    customer_id: str
    amount: int
    currency: str
    lines: tuple[Line, ...]
    traced: bool = False
    protocol: str = "saga"


class StartCancellation(Message, frozen=True):
    """Asks the orchestrator to cancel a confirmed order, under the order's own protocol."""

    traced: bool = False
    protocol: str = "saga"


class ProductChanged(Message, frozen=True):
    """The catalogue's present entry for a product; the highest `version` wins."""

    sku: str
    name: str
    price: int
    currency: str
    version: int


Command = (
    HoldStock
    | ReleaseStock
    | ShipStock
    | RestockGoods
    | ChargeCard
    | RefundCard
    | ConfirmOrder
    | RejectOrder
    | CloseCancelledOrder
)
"""Everything that a saga may ask of a participant."""
