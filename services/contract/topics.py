"""Every Kafka topic of the shop.

Each service has one topic of commands; everything that is addressed to a saga (the request to
start it and the answers of its participants) goes to `sagas`. All messages about one order carry
that order's id as their key, and all these topics have the same number of partitions, so one
order lives in the same partition number everywhere: that number is its *shard*.
"""

ORDER_COMMANDS = "order.commands"
PAYMENT_COMMANDS = "payment.commands"
INVENTORY_COMMANDS = "inventory.commands"
SAGAS = "sagas"
CATALOGUE_EVENTS = "catalogue.events"
DEAD_LETTERS = "dead-letters"

ALL = (ORDER_COMMANDS, PAYMENT_COMMANDS, INVENTORY_COMMANDS, SAGAS, CATALOGUE_EVENTS, DEAD_LETTERS)

PARTITIONS = 4
"""Fixed for the life of the data: a shard's owner and an order's shard both depend on it."""

COMMANDS_OF = {
    "order": ORDER_COMMANDS,
    "payment": PAYMENT_COMMANDS,
    "inventory": INVENTORY_COMMANDS,
}
