"""What two readers make of the same looks."""

from uuid import UUID

from lab.anomalies.counts import Tally, broken, coordinated, plain
from lab.anomalies.cut import Cut, Effect, Sight

A, B = UUID(int=1), UUID(int=2)
THERE, NONE, UNDONE = Effect.THERE, Effect.NONE, Effect.UNDONE
WHOLE, PAID, HELD = Sight(THERE, THERE, THERE), Sight(payment=THERE), Sight(inventory=THERE)


def cut(
    sights: dict[UUID, Sight],
    in_doubt: frozenset[UUID] = frozenset(),
    later: dict[UUID, Sight] | None = None,
) -> Cut:
    torn = {id: sight for id, sight in sights.items() if sight.torn}
    return Cut(sights, in_doubt, torn if later is None else later, (), 0.001)


def seen(reader: str, *cuts: Cut, **ends: str) -> dict[str, int]:
    tally = Tally(reader)
    for one in cuts:
        tally.add(one)
    told = tally.result({{"A": A, "B": B}[name]: status for name, status in ends.items()})
    return {
        "fractured": told["fractured"]["orders"],
        "reads": told["fractured"]["reads"],
        "dirty": told["dirty"]["orders"],
        "left_out": told["left_out"],
    }


def test_what_is_in_doubt_is_torn_to_a_plain_reader_only() -> None:
    look = cut({A: PAID, B: WHOLE}, in_doubt=frozenset({A}))
    assert plain(look)[A].torn
    assert coordinated(look) == {B: WHOLE}


def test_what_was_committed_while_it_read_is_left_out() -> None:
    assert coordinated(cut({A: PAID}, later={A: WHOLE})) == {}


def test_what_is_still_not_there_afterwards_is_torn() -> None:
    for later in (PAID, Sight(NONE, THERE, THERE), Sight(NONE, NONE, UNDONE)):
        assert coordinated(cut({A: PAID}, later={A: later}))[A].torn


def test_an_order_counts_once_and_every_read_that_shows_it() -> None:
    ends = {"A": "CONFIRMED", "B": "CONFIRMED"}
    told = seen("plain", cut({A: PAID}), cut({A: PAID, B: WHOLE}), cut({A: WHOLE}), **ends)
    assert told == {"fractured": 1, "reads": 2, "dirty": 0, "left_out": 0}


def test_what_was_seen_and_is_refused_in_the_end_was_dirty() -> None:
    looks = (cut({A: HELD, B: WHOLE}), cut({A: Sight(inventory=UNDONE)}))
    assert seen("plain", *looks, A="REFUSED", B="CONFIRMED")["dirty"] == 1
    assert seen("plain", *looks, A="CONFIRMED", B="CONFIRMED")["dirty"] == 0
    assert seen("plain", looks[1], A="REFUSED")["dirty"] == 0, "it was undone before anybody saw it"


def test_what_is_left_out_is_not_believed() -> None:
    look = cut({A: PAID}, in_doubt=frozenset({A}))
    assert seen("coordinated", look, A="REFUSED") == {"fractured": 0, "reads": 0, "dirty": 0, "left_out": 1}


def test_orders_of_others_do_not_count() -> None:
    told = seen("plain", cut({A: PAID, B: WHOLE}), B="REFUSED")
    assert told == {"fractured": 0, "reads": 0, "dirty": 1, "left_out": 0}


def result(fractured: int, dirty: int) -> dict[str, dict[str, int]]:
    return {"fractured": {"orders": fractured}, "dirty": {"orders": dirty}}


def test_a_saga_may_show_anything_but_wrong_sums() -> None:
    readers = {"plain": result(9, 9), "coordinated": result(9, 9)}
    assert broken("saga", readers, off=0) == 0
    assert broken("saga", readers, off=2) == 2


def test_a_commit_may_look_torn_to_a_plain_reader_and_no_more() -> None:
    assert broken("2pc", {"plain": result(9, 0), "coordinated": result(0, 0)}, off=0) == 0
    assert broken("2pc", {"plain": result(9, 0), "coordinated": result(2, 0)}, off=0) == 2
    assert broken("3pc", {"plain": result(0, 3), "coordinated": result(0, 0)}, off=0) == 3
