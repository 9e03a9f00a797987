"""Where each piece is: on hand, held or sold, and never in two places or in none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.messages import Line
from services.inventory.model import Refused, Shelf, Stock, hold, release, restock, ship

CLOCKS = Stock("clock", on_hand=5, held=2, sold=1)
BOOKS = Stock("book", on_hand=3, held=0, sold=0)


def shelf() -> Shelf:
    return {"clock": CLOCKS, "book": BOOKS}


def test_held_goods_are_put_aside() -> None:
    assert hold(shelf(), (Line("clock", 2),)) == {"clock": Stock("clock", on_hand=3, held=4, sold=1)}


def test_the_last_piece_can_be_had_and_not_one_more() -> None:
    assert hold(shelf(), (Line("book", 3),)) == {"book": Stock("book", on_hand=0, held=3, sold=0)}
    assert hold(shelf(), (Line("book", 4),)) == Refused("out-of-stock", "book: 3 on hand, 4 ordered")


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ((Line("clock", 1), Line("book", 4)), "out-of-stock"),
        ((Line("book", 4), Line("clock", 1)), "out-of-stock"),
        ((Line("clock", 1), Line("ghost", 1)), "unknown-sku"),
    ],
)
def test_an_order_gets_all_its_products_or_none(lines: tuple[Line, ...], refused: str) -> None:
    before = shelf()
    after = hold(before, lines)
    assert isinstance(after, Refused) and after.reason == refused
    assert before == shelf()


def test_a_hold_says_only_what_it_changed() -> None:
    before = shelf()
    after = hold(before, (Line("book", 1),))
    assert isinstance(after, dict) and set(after) == {"book"}
    assert before == shelf(), "the caller decides whether it takes effect"


def test_a_product_named_twice_is_held_twice() -> None:
    assert hold(shelf(), (Line("clock", 1), Line("clock", 2))) == {
        "clock": Stock("clock", on_hand=2, held=5, sold=1)
    }


def test_each_way_back_and_out() -> None:
    assert release(CLOCKS, 2) == Stock("clock", on_hand=7, held=0, sold=1)
    assert ship(CLOCKS, 2) == Stock("clock", on_hand=5, held=0, sold=3)
    assert restock(CLOCKS, 1) == Stock("clock", on_hand=6, held=2, sold=0)


NEXT = {"release": ("held", "gone"), "ship": ("held", "shipped"), "restock": ("shipped", "gone")}
DECIDE = {"release": release, "ship": ship, "restock": restock}
LINES = st.lists(
    st.builds(Line, st.sampled_from(["clock", "book", "ghost"]), st.integers(1, 4)),
    min_size=1,
    max_size=2,
    unique_by=lambda line: line.sku,
).map(tuple)
WISHES = st.lists(LINES | st.tuples(st.sampled_from(sorted(NEXT)), st.integers(0, 5)), max_size=40)


@given(WISHES)
def test_no_sequence_of_steps_makes_or_loses_a_piece(
    wishes: list[tuple[Line, ...] | tuple[str, int]],
) -> None:
    """Orders move as the handlers move them: each step takes only what is in the state it starts from."""
    now = shelf()
    received = {sku: s.on_hand + s.held + s.sold for sku, s in now.items()}
    orders: list[list[Line]] = []
    states: list[str] = []
    for wish in wishes:
        match wish:
            case (str() as step, int() as n):
                old, new = NEXT[step]
                if n < len(orders) and states[n] == old:
                    states[n] = new
                    now |= {line.sku: DECIDE[step](now[line.sku], line.quantity) for line in orders[n]}
            case lines:
                after = hold(now, tuple(line for line in lines if isinstance(line, Line)))
                if isinstance(after, dict):
                    now |= after
                    orders.append([line for line in lines if isinstance(line, Line)])
                    states.append("held")
        for sku, stock in now.items():
            assert min(stock.on_hand, stock.held, stock.sold) >= 0
            assert stock.on_hand + stock.held + stock.sold == received[sku]
    for sku, stock in shelf().items():
        held = [line.quantity for lines, state in zip(orders, states, strict=True) for line in lines
                if state == "held" and line.sku == sku]  # fmt: skip
        assert now[sku].held == stock.held + sum(held)
