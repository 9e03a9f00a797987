"""What the inventory does when a saga tells it to: rows locked in one ordered read, each command decided
alone, rows written back at once."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec import Struct

from services.contract.messages import HoldStock, Line, ReleaseStock, RestockGoods, ShipStock
from services.inventory import model, store
from services.inventory.model import Stock
from services.runtime.inbox import DONE, Answer
from services.runtime.outbox import Transaction
from services.runtime.worker import Command, Handler


async def hold(tx: Transaction, commands: Sequence[Command]) -> Sequence[Answer]:
    """Puts goods aside, first come, first served; an order gets all its products or none."""
    messages = [command.message for command in commands]
    wishes = [message.lines for message in messages if isinstance(message, HoldStock)]
    shelf = await store.lock_stock(tx.sql, {line.sku for lines in wishes for line in lines})
    answers: list[Answer] = []
    holds: list[tuple[str, Line]] = []
    for command, lines in zip(commands, wishes, strict=True):
        match model.hold(shelf, lines):
            case model.Refused(reason, detail):
                answers.append(Answer("refused", reason, detail))
            case after:
                shelf |= after
                holds += [(command.subject, line) for line in lines]
                answers.append(DONE)
    await store.save(tx.sql, shelf.values(), holds)
    return answers


async def _move(
    old: str,
    new: str,
    decide: Callable[[Stock, int], Stock],
    tx: Transaction,
    commands: Sequence[Command],
) -> Sequence[Answer]:
    """Whatever of these orders is in state `old` moves on to `new`, and the stock with it."""
    moved = await store.move_holds(tx.sql, [command.subject for command in commands], old, new)
    shelf = await store.lock_stock(tx.sql, {sku for sku, _ in moved})
    for sku, quantity in moved:
        shelf[sku] = decide(shelf[sku], quantity)
    await store.save(tx.sql, shelf.values())
    return [DONE] * len(commands)


async def restock(tx: Transaction, commands: Sequence[Command]) -> Sequence[Answer]:
    """What a cancelled order had goes back on the shelf: shipped, or held still, since an order is confirmed
    and may be cancelled before its shipment is; a shipment that comes later finds nothing to ship."""
    await _move("held", "restocked", model.release, tx, commands)
    return await _move("shipped", "restocked", model.restock, tx, commands)


async def lock(tx: Transaction, commands: Sequence[Command]) -> None:
    """All stock that a mixed batch touches, in one ordered read: replicas cannot wait for one another."""
    wishes = [command.message.lines for command in commands if isinstance(command.message, HoldStock)]
    others = [command.subject for command in commands if not isinstance(command.message, HoldStock)]
    await store.lock_all(tx.sql, {line.sku for lines in wishes for line in lines}, others)


HANDLERS: Mapping[type[Struct], Handler] = {
    HoldStock: hold,
    ReleaseStock: partial(_move, "held", "released", model.release),
    ShipStock: partial(_move, "held", "shipped", model.ship),
    RestockGoods: restock,
}
