"""What the order service decides: what an order costs, and whether it can be one at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LARGEST_AMOUNT = 10**15
"""Minor units. Sums of a great many of these still fit a bigint."""


@dataclass(frozen=True, slots=True)
class Item:
    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A product's entry in this service's copy of the catalogue; `price` in minor units a piece."""

    price: int
    currency: str


@dataclass(frozen=True, slots=True)
class Priced:
    amount: int
    currency: str
    prices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A business refusal: the order is kept, as refused."""

    reason: str
    detail: str


def price(items: Sequence[Item], catalogue: Mapping[str, Listed]) -> Priced | Refused:
    """Prices are the shop's own, never the customer's; all products of an order have one currency."""
    unknown = [item.sku for item in items if item.sku not in catalogue]
    if unknown:
        return Refused("unknown-sku", f"there is no product {', '.join(unknown[:5])}")
    listed = [catalogue[item.sku] for item in items]
    currencies = sorted({entry.currency for entry in listed})
    if len(currencies) > 1:
        return Refused("currency-mismatch", f"one order cannot be paid in {' and '.join(currencies)}")
    amount = sum(item.quantity * entry.price for item, entry in zip(items, listed, strict=True))
    if amount > LARGEST_AMOUNT:
        return Refused(
            "amount-too-large", f"{amount} {currencies[0]} in minor units is beyond {LARGEST_AMOUNT}"
        )
    return Priced(amount, currencies[0], tuple(entry.price for entry in listed))
