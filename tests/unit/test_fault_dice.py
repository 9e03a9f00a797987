"""When faults that are met now and then are met."""

from collections import Counter

import pytest

from services.chaos.faults import CallFault, Faults, MessageFault

Sometimes = CallFault | MessageFault

TIMES = 5_000


def met(*faults: Sometimes) -> list[frozenset[str]]:
    """What happened to each of so many commands or calls, one after the other."""
    armed = Faults("orchestrator")
    armed.set(faults)
    if isinstance(faults[0], CallFault):
        found = (armed.of_call("payment", frozenset()) for _ in range(TIMES))
        return [frozenset(fault.what for fault in some) for some in found]
    happened = (armed.of_message("order.hold") for _ in range(TIMES))
    return [frozenset(fault.what for fault in some) for some in happened]


PAIRS: list[list[Sometimes]] = [
    [
        MessageFault(what="drop-message", times=None, share=0.2, seed=1),
        MessageFault(what="duplicate-message", times=None, share=0.2, seed=1),
    ],
    [
        CallFault(what="drop-request", to="payment", times=None, share=0.2, seed=1),
        CallFault(what="duplicate", to="payment", times=None, share=0.2, seed=1),
    ],
]


@pytest.mark.parametrize("pair", PAIRS)
def test_what_is_lost_and_what_comes_twice_are_not_the_same(pair: list[Sometimes]) -> None:
    """Of the same seed, or nothing would ever come twice: what is lost is not sent at all."""
    counts = Counter(met(*pair))
    drop, twice = (frozenset({fault.what}) for fault in pair)
    expected = {drop: 0.16, twice: 0.16, drop | twice: 0.04, frozenset(): 0.64}
    for what, share in expected.items():
        assert counts[what] / TIMES == pytest.approx(share, abs=0.02), what


@pytest.mark.parametrize("pair", PAIRS)
def test_a_seed_draws_the_same_again_and_another_one_something_else(pair: list[Sometimes]) -> None:
    assert met(*pair) == met(*pair)
    assert met(*pair) != met(*(fault.model_copy(update={"seed": 2}) for fault in pair))
