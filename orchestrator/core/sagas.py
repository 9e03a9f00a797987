"""The shop's sagas. The names are the names on the wire, and in the participants' inboxes."""

from orchestrator.core.definition import Definition, Step

ORDER = Definition(
    kind="order",
    stages=(
        (
            Step("order.hold", "inventory", undo="order.release"),
            Step("order.charge", "payment", undo="order.refund"),
        ),
        # The pivot: goods held, card charged. Neither step below can fail for good.
        (
            Step("order.ship", "inventory"),
            Step("order.confirm", "order"),
        ),
    ),
    on_refusal=Step("order.reject", "order"),
)

CANCEL = Definition(
    kind="cancel",
    # Cancelling was decided by the order service when it accepted the request; from there on it can
    # only go forward. The order is closed last, so that "cancelled" means: money and goods are back.
    stages=(
        (
            Step("cancel.refund", "payment"),
            Step("cancel.restock", "inventory"),
        ),
        (Step("cancel.close", "order"),),
    ),
)

DEFINITIONS = {definition.kind: definition for definition in (ORDER, CANCEL)}
