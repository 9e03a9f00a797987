"""Who wants the same queues; who wants something else does not wait."""

from orchestrator.turns import Turns


def test_the_same_is_had_in_the_order_of_arrival_and_something_else_at_once() -> None:
    turns = Turns(10)
    first, second, third = (turns.queue([("product", "teapot"), ("customer", n)]) for n in range(3))
    other = turns.queue([("product", "lamp")])
    assert [turn.has_come.is_set() for turn in (first, second, third, other)] == [True, False, False, True]
    turns.leave(first)
    assert second.has_come.is_set() and not third.has_come.is_set()
    turns.leave(second)
    assert third.has_come.is_set()


def test_a_turn_comes_when_all_of_its_queues_have_moved() -> None:
    turns = Turns(10)
    teapot, lamp = turns.queue(["teapot"]), turns.queue(["lamp"])
    both = turns.queue(["lamp", "teapot"])
    later = turns.queue(["lamp"])
    turns.leave(teapot)
    assert not both.has_come.is_set()
    turns.leave(lamp)
    assert both.has_come.is_set() and not later.has_come.is_set()
    turns.leave(both)
    assert later.has_come.is_set()


def test_who_leaves_before_its_turn_holds_up_nobody() -> None:
    turns = Turns(10)
    first, gone, last = (turns.queue(["teapot"]) for _ in range(3))
    turns.leave(gone)
    assert not last.has_come.is_set()
    turns.leave(first)
    assert last.has_come.is_set()
    turns.leave(last)
    assert turns.queue(["teapot"]).has_come.is_set()


def test_so_many_have_their_turn_at_once_and_those_behind_them_do_not_count() -> None:
    turns = Turns(2)
    teapot, again, lamp, vase = (turns.queue([key]) for key in ("teapot", "teapot", "lamp", "vase"))
    assert [turn.has_come.is_set() for turn in (teapot, again, lamp, vase)] == [True, False, True, False]
    turns.leave(lamp)
    assert vase.has_come.is_set() and not again.has_come.is_set()
    turns.leave(teapot)
    assert again.has_come.is_set()
    late = turns.queue(["late"])
    turns.leave(late)
    turns.leave(vase)
    assert turns.queue(["lamp"]).has_come.is_set()


def test_after_refusals_more_go_abreast_until_one_is_not_refused() -> None:
    turns = Turns(8)
    waiting = [turns.queue(["teapot"]) for _ in range(20)]

    def at_it() -> list[int]:
        return [n for n, turn in enumerate(waiting) if turn in left and turn.has_come.is_set()]

    left = set(waiting)
    for number, then in ((0, [1, 2]), (1, [2, 3, 4, 5]), (2, [3, 4, 5, 6, 7, 8, 9, 10])):
        turns.leave(waiting[number], refused=True)
        left.discard(waiting[number])
        assert at_it() == then
    for number in range(3, 11):
        turns.leave(waiting[number])
        left.discard(waiting[number])
    assert at_it() == [11]
