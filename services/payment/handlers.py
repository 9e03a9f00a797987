"""What the payment service does when a saga tells it to. Each handler takes a batch."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from services.contract.messages import ChargeCard, RefundCard
from services.payment import model, store
from services.payment.store import Transfer
from services.runtime.inbox import DONE, Answer
from services.runtime.outbox import Transaction
from services.runtime.worker import Command, Handler


async def charge(tx: Transaction, commands: Sequence[Command]) -> Sequence[Answer]:
    """Each order's transfer bears the order's id, so the database itself refuses a second charge."""
    messages = [command.message for command in commands]
    charges = [message for message in messages if isinstance(message, ChargeCard)]
    accounts = await store.lock_accounts(tx.sql, {message.customer_id for message in charges})
    answers: list[Answer] = []
    transfers: list[Transfer] = []
    for command, message in zip(commands, charges, strict=True):
        customer_id, amount, currency = message.customer_id, message.amount, message.currency
        match model.charge(accounts.get(customer_id), customer_id, amount, currency):
            case model.Refused(reason, detail):
                answers.append(Answer("refused", reason, detail))
            case account:
                accounts[customer_id] = account
                entries = model.charge_entries(customer_id, amount, currency)
                transfers.append(Transfer(command.subject, "charge", amount, entries))
                answers.append(DONE)
    await store.post(tx.sql, transfers)
    return answers


async def refund(tx: Transaction, commands: Sequence[Command]) -> Sequence[Answer]:
    """Gives back exactly what was charged for the order; for nothing charged, nothing."""
    await store.refund(tx.sql, [command.subject for command in commands])
    return [DONE] * len(commands)


async def lock(tx: Transaction, commands: Sequence[Command]) -> None:
    """All customers that a mixed batch touches, in one ordered read."""
    payers = {command.message.customer_id for command in commands if isinstance(command.message, ChargeCard)}
    others = [command.subject for command in commands if not isinstance(command.message, ChargeCard)]
    await store.lock_all(tx.sql, payers, others)


HANDLERS: Mapping[type[Struct], Handler] = {ChargeCard: charge, RefundCard: refund}
