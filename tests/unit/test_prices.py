"""What an order costs, and which cannot be one."""

from hypothesis import given
from hypothesis import strategies as st

from services.order.model import LARGEST_AMOUNT, Item, Listed, Priced, Refused, price

CATALOGUE = {
    "clock": Listed(19_99, "EUR"),
    "gift": Listed(0, "EUR"),
    "yacht": Listed(10**12, "EUR"),
    "kettle": Listed(30_00, "USD"),
}


def reason(*items: Item) -> str:
    refused = price(items, CATALOGUE)
    assert isinstance(refused, Refused)
    return refused.reason


def test_an_order_costs_the_shops_prices() -> None:
    assert price([Item("clock", 2), Item("gift", 1)], CATALOGUE) == Priced(39_98, "EUR", (19_99, 0))


def test_a_gift_costs_nothing_and_is_an_order_all_the_same() -> None:
    assert price([Item("gift", 3)], CATALOGUE) == Priced(0, "EUR", (0,))


def test_an_unknown_product_is_named() -> None:
    assert price([Item("clock", 1), Item("ghost", 1)], CATALOGUE) == Refused(
        "unknown-sku", "there is no product ghost"
    )


def test_of_many_unknown_products_the_first_are_named() -> None:
    refused = price([Item(f"ghost-{n}", 1) for n in range(50)], CATALOGUE)
    assert isinstance(refused, Refused)
    assert refused.detail == "there is no product ghost-0, ghost-1, ghost-2, ghost-3, ghost-4"


def test_one_order_has_one_currency() -> None:
    assert reason(Item("clock", 1), Item("kettle", 1)) == "currency-mismatch"


def test_an_amount_has_a_limit_and_may_reach_it() -> None:
    assert price([Item("yacht", 1000)], CATALOGUE) == Priced(LARGEST_AMOUNT, "EUR", (10**12,))
    assert reason(Item("yacht", 1000), Item("clock", 1)) == "amount-too-large"


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 10**9)), min_size=1, max_size=50))
def test_the_amount_is_the_sum_of_its_lines(lines: list[tuple[int, int]]) -> None:
    items = [Item(f"sku-{n}", quantity) for n, (quantity, _) in enumerate(lines)]
    catalogue = {f"sku-{n}": Listed(each, "EUR") for n, (_, each) in enumerate(lines)}
    priced = price(items, catalogue)
    assert isinstance(priced, Priced)
    assert priced.amount == sum(i.quantity * p for i, p in zip(items, priced.prices, strict=True))
    assert priced.prices == tuple(each for _, each in lines)
