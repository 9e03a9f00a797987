"""What a soak's seed draws."""

from lab.crash import rounds
from lab.crash.rounds import Arm, Flush, Kill, Pause, Round
from lab.workload import PROTOCOLS

PROCESSES = ["order-1", "order-2", "payment-1", "inventory-1", "orchestrator-1"]


def drawn(seeds: int = 300) -> list[Round]:
    return [rounds.draw(seed, PROCESSES) for seed in range(seeds)]


def test_a_seed_draws_the_same_round_again_whatever_the_order_of_the_processes() -> None:
    assert [rounds.draw(seed, PROCESSES[::-1]) for seed in range(300)] == drawn()
    assert len({str(round)[len("seed 100") :] for round in drawn()}) > 290


def test_everything_is_drawn_in_time() -> None:
    blows = [blow for round in drawn() for _, blow in round.blows]
    assert {type(blow) for blow in blows} == {Kill, Pause, Arm, Flush}
    struck = {blow.whom for blow in blows if isinstance(blow, Kill | Pause)}
    assert struck == {*PROCESSES, *rounds.SERVERS}
    whats = {blow.fault["what"] for blow in blows if isinstance(blow, Arm)}
    lost = {f"{what}{of}" for what in ("delay", "duplicate") for of in ("", "-message")}
    assert whats == lost | {"crash", "drop-request", "drop-answer", "drop-message"}
    assert {round.protocol for round in drawn()} == set(PROTOCOLS)
    assert {len(round.blows) for round in drawn()} == {1, 2, 3}
    for round in drawn():
        times = [at_s for at_s, _ in round.blows]
        assert times == sorted(times) and 0 < times[0] and times[-1] < rounds.LOAD_S


def test_only_three_phase_commit_whose_silent_live_on_may_split() -> None:
    still, dead = (1.0, Pause("order-1", 3.0)), (2.0, Kill("order-1"))
    crash = (3.0, Arm("order", {"what": "crash", "at": "order@before-work"}))
    lost = (3.0, Arm("order", {"what": "drop-request", "to": "order"}))
    assert Round(1, "3pc", 40.0, (still, dead)).may_split
    assert Round(1, "3pc", 40.0, (lost,)).may_split
    assert not Round(1, "3pc", 40.0, (dead, crash)).may_split
    assert not Round(1, "2pc", 40.0, (still, lost)).may_split


def test_a_round_is_told_in_words() -> None:
    told = str(Round(7, "2pc", 40.0, ((1.0, Kill("kafka")), (2.0, Pause("order-1", 3.0)), (4.0, Flush()))))
    assert told == (
        "seed 7: 2pc, 40 orders a second; at 1.0 s kafka dies; at 2.0 s order-1 stands still for 3.0 s; "
        "at 4.0 s Redis forgets everything"
    )
    arm = Arm("orchestrator", {"what": "drop-request", "to": "order", "times": None, "share": 0.1, "seed": 3})
    assert str(arm) == "orchestrator drop-request order"
