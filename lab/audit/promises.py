"""The ten promises, by the names that the report uses, and what a look from outside can see of each."""

from datetime import UTC, datetime
from typing import NamedTuple


class Promise(NamedTuple):
    says: str
    looks_at: str


PAID = "paid-gone-confirmed"
MONEY = "money-conserved"
STOCK = "stock-conserved"
CHARGED = "charged-once"
LEFT = "nothing-left-behind"
ENDS = "every-order-ends"
KEYS = "one-key-one-order"
REPLAY = "replay-changes-nothing"
FENCES = "fences-hold"
DEAD = "dead-letters"

PROMISES: dict[str, Promise] = {
    PAID: Promise(
        "paid, stock gone and CONFIRMED go together",
        "at rest: the order's status and lines, its charge and refund, the state and quantities of its holds",
    ),
    MONEY: Promise(
        "money is conserved",
        "each transfer has two entries that cancel out; each balance is its entries' sum; none is negative",
    ),
    STOCK: Promise(
        "stock is conserved",
        "on hand + held + sold = received; held and sold are the sums over the holds; nothing is negative",
    ),
    CHARGED: Promise(
        "a card is charged once and refunded at most that",
        "the charge is the order's amount, from its customer; a refund is to the same account, not above it",
    ),
    LEFT: Promise(
        "nothing is left behind",
        "no hold, prepared transaction or outbox row is older than the bound",
    ),
    ENDS: Promise(
        "every order ends, by legal steps",
        "no order or saga runs longer than the bound; status, times, reason and sagas of an order agree",
    ),
    KEYS: Promise(
        "one key, one order, one answer",
        "each order has one idempotency record and the reverse; the stored answer is that order's outcome",
    ),
    REPLAY: Promise(
        "a replayed message changes nothing",
        "every effect has its inbox row and the reverse, so a second delivery finds the first;"
        " what was undone before it was done left a tombstone",
    ),
    FENCES: Promise(
        "a stale owner is fenced off",
        "fence numbers are positive and never fall; no saga was written under a number beyond its shard's"
        " fence, nor in another shard. That a stale write is *refused* leaves no trace: the tests show it",
    ),
    DEAD: Promise(
        "a poison message is set aside once, and its order ends",
        "no message is dead-lettered in two databases; the orders that the messages belong to are not stuck",
    ),
}

ACKNOWLEDGED = "nothing-acknowledged-is-lost"
TOLD_YES = "told-confirmed-is-confirmed"
TOLD_NO = "told-refused-has-no-effect"
TOLD_NOTHING = "unknown-is-all-or-nothing"
ONE_ORDER = "one-key-one-order-told"
ONE_ANSWER = "one-key-one-answer-told"

# What can only be judged by somebody who knows what the customers were told.
OF_HISTORY: dict[str, Promise] = {
    ACKNOWLEDGED: Promise(
        "what was acknowledged exists, and ends",
        "each order that any answer has named is there, and not PENDING for longer than the bound",
    ),
    TOLD_YES: Promise(
        "who was told yes has what he ordered",
        "the order is CONFIRMED or was cancelled since; charged and taken is what was asked for and told",
    ),
    TOLD_NO: Promise(
        "who was told no has lost nothing",
        "the order is REFUSED for the reason that was told, and neither money nor stock is kept for it;"
        " a no without an order has placed none",
    ),
    TOLD_NOTHING: Promise(
        "who was told nothing has all of it or nothing",
        "of a request with no final answer there is no trace, or a whole order: its record, its lines as"
        " they were asked for and, at rest, either all effects or none",
    ),
    ONE_ORDER: Promise(
        "the same key never makes two orders",
        "all answers to a key name one order, and it is the only one under that key",
    ),
    ONE_ANSWER: Promise(
        "the same key always gets the same answer",
        "all final answers to a key are equal to the byte, and to the one that is stored",
    ),
}
ALL = PROMISES | OF_HISTORY


def time_of(at: datetime) -> str:
    """For people, who compare it with a log."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


class Finding(NamedTuple):
    """One broken promise: whose (an order, account, sku, message), and how, in words."""

    check: str
    subject: str
    words: str
