"""What the order service does when a saga, or the inventory, tells it something. Batches, always."""

from collections.abc import Mapping, Sequence
from functools import partial

import asyncpg
import structlog
from msgspec import Struct

from services.contract import topics
from services.contract.messages import CloseCancelledOrder, ConfirmOrder, ProductChanged, RejectOrder
from services.order import store
from services.order.answers import Answers
from services.runtime import dead_letters, problems
from services.runtime.bus import Record
from services.runtime.database import insist
from services.runtime.dead_letters import DeadLetter
from services.runtime.envelope import Malformed, decode, open_as
from services.runtime.idempotency import Record as KeyRecord
from services.runtime.inbox import DONE, Answer
from services.runtime.outbox import Outbox, Transaction
from services.runtime.worker import Command, Handler

log = structlog.get_logger()

CONFIRMED_HERE = Answer("refused", "confirmed", "the order was confirmed, and its customer told so")


def refusal(order_id: str, reason: str, detail: str) -> str:
    """The answer to a refused order: problem+json, the same whenever and by whomever it is given."""
    return problems.body(409, reason, detail, order_id=order_id).decode()


class SagaSteps:
    """The steps of the sagas that happen here. They end an order, and with it the request behind it."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.handlers: Mapping[type[Struct], Handler] = {
            ConfirmOrder: self.confirm,
            RejectOrder: self.reject,
            CloseCancelledOrder: self.close_cancelled,
        }

    async def confirm(self, tx: Transaction, commands: Sequence[Command]) -> Sequence[Answer]:
        """The pivot is behind: the order is confirmed whatever happens."""
        rows = await tx.sql.fetch(store.CONFIRM, [command.subject for command in commands])
        self._finish(tx, rows)
        return [DONE] * len(commands)

    async def reject(self, tx: Transaction, commands: Sequence[Command]) -> Sequence[Answer]:
        """Everything has been undone: the customer hears the first reason.

        A commit that was split may have confirmed the order here, while its coordinator heard of an abort
        first. What the customer was told stands: such an order is not rejected any more.
        """
        messages = [command.message for command in commands]
        reasons = [(m.reason, m.detail) for m in messages if isinstance(m, RejectOrder)]
        subjects = [command.subject for command in commands]
        rows = await tx.sql.fetch(
            store.REJECT,
            subjects,
            [reason for reason, _ in reasons],
            [detail for _, detail in reasons],
            [refusal(subject, *reason) for subject, reason in zip(subjects, reasons, strict=True)],
        )
        self._finish(tx, rows)
        if len(rows) == len(commands):
            return [DONE] * len(commands)
        stayed = {row["order_id"] for row in await tx.sql.fetch(store.STAYED, subjects)}
        return [CONFIRMED_HERE if subject in stayed else DONE for subject in subjects]

    async def close_cancelled(self, tx: Transaction, commands: Sequence[Command]) -> Sequence[Answer]:
        """The money is back and so are the goods."""
        await tx.sql.execute(store.CLOSE_CANCELLED, [command.subject for command in commands])
        return [DONE] * len(commands)

    def _finish(self, tx: Transaction, rows: Sequence[asyncpg.Record]) -> None:
        records = [KeyRecord(*row.values()) for row in rows]
        tx.after.append(lambda: self._answers.finished(records))


class CatalogueFeed:
    """Keeps this service's copy of the catalogue."""

    def __init__(self, name: str, outbox: Outbox) -> None:
        self._name = name
        self._outbox = outbox

    async def handle(self, records: Sequence[Record]) -> None:
        """Repeated and late events change nothing: the highest version stays. A bad one is put aside."""
        events: list[tuple[Record, ProductChanged]] = []
        letters: list[DeadLetter] = []
        for record in records:
            try:
                events.append((record, open_as(decode(record.value), ProductChanged)))
            except Malformed as error:
                letters.append(DeadLetter(record, str(error)))
        try:
            await insist(partial(self._save, [event for _, event in events], letters))
        except Exception:  # one of them is not what the database takes: find out which
            for record, event in events:
                try:
                    await insist(partial(self._save, [event], []))
                except Exception as error:
                    letters.append(DeadLetter(record, f"{type(error).__name__}: {error}"))
            await insist(partial(self._save, [], letters))

    async def _save(self, events: Sequence[ProductChanged], letters: Sequence[DeadLetter]) -> None:
        latest = {event.sku: event for event in sorted(events, key=lambda event: event.version)}
        async with self._outbox.transaction() as tx:
            await store.update_catalogue(tx.sql, latest)
            if letters:
                await dead_letters.bury(tx, letters, topic=topics.DEAD_LETTERS, source=self._name)
