"""A few goods and two customers, whom everything that shows the shop knows by name.

`python -m lab.shelf INVENTORY_URL PAYMENT_URL` fills a shop that has no nginx in front yet. Safe to repeat.
"""

import sys
from typing import Any

from lab.seed import import_rows
from lab.shop import Door

PRODUCTS = (("teapot", "Teapot", 24_90), ("lamp", "Desk lamp", 59_00), ("notebook", "Notebook", 4_50))
RICH, POOR = "alice", "bob"
MONEY, POCKET_MONEY = 1_000_000_00, 5_00
PIECES = 1_000_000


def fill(inventory: Door, payment: Door) -> None:
    """What is there already is left alone."""
    goods: list[dict[str, Any]] = [
        {"sku": sku, "name": name, "price": price, "currency": "EUR", "stock": PIECES}
        for sku, name, price in PRODUCTS
    ]
    people: list[dict[str, Any]] = [
        {"customer_id": RICH, "currency": "EUR", "balance": MONEY},
        {"customer_id": POOR, "currency": "EUR", "balance": POCKET_MONEY},
    ]
    import_rows(inventory, "products", goods)
    import_rows(payment, "customers", people)


def main(inventory_url: str, payment_url: str) -> None:
    with Door(inventory_url, 60.0) as inventory, Door(payment_url, 60.0) as payment:
        fill(inventory, payment)


if __name__ == "__main__":
    main(*sys.argv[1:])
