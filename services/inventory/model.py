"""What the inventory decides: whether there is enough of a product, and where each piece is.

Every piece ever received is on hand, held for an order, or sold.
"""

from dataclasses import dataclass, replace

from services.contract.messages import Line


@dataclass(frozen=True, slots=True)
class Stock:
    sku: str
    on_hand: int
    held: int
    sold: int


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str
    detail: str


Shelf = dict[str, Stock]


def hold(shelf: Shelf, lines: tuple[Line, ...]) -> Shelf | Refused:
    """The products of an order after they were put aside for it: all of them, or none."""
    after: Shelf = {}
    for line in lines:
        stock = after.get(line.sku) or shelf.get(line.sku)
        if stock is None:
            return Refused("unknown-sku", f"there is no product {line.sku}")
        if stock.on_hand < line.quantity:
            return Refused("out-of-stock", f"{line.sku}: {stock.on_hand} on hand, {line.quantity} ordered")
        after[line.sku] = replace(
            stock, on_hand=stock.on_hand - line.quantity, held=stock.held + line.quantity
        )
    return after


def sell(shelf: Shelf, lines: tuple[Line, ...]) -> Shelf | Refused:
    """The products of an order after it was held and shipped in one step."""
    after = hold(shelf, lines)
    if not isinstance(after, Refused):
        for line in lines:
            after[line.sku] = ship(after[line.sku], line.quantity)
    return after


def release(stock: Stock, quantity: int) -> Stock:
    """Held goods go back on the shelf."""
    return replace(stock, on_hand=stock.on_hand + quantity, held=stock.held - quantity)


def ship(stock: Stock, quantity: int) -> Stock:
    """Held goods leave the house."""
    return replace(stock, held=stock.held - quantity, sold=stock.sold + quantity)


def restock(stock: Stock, quantity: int) -> Stock:
    """Goods of a cancelled order come back."""
    return replace(stock, on_hand=stock.on_hand + quantity, sold=stock.sold - quantity)
