"""The journal's vector clocks say exactly what the messages say: e happened before f, or it did not.

The graph is built here from the simulated log itself, without `unfold`'s clocks: a role's own order, and
for each receipt the send it is of.
"""

import pytest

from orchestrator.core.clocks import Entry
from orchestrator.core.journal import LogLine, unfold
from tests.sim.simulator import ORDER_ID
from tests.sim.test_saga_schedules import SEEDS, replay


def send_of(entries: list[Entry], at: int, line: LogLine | None) -> int:
    """Where the message that entry `at` receives was sent: the latest copy not after it, by its sender."""
    receipt = entries[at]
    sent = [i for i, e in enumerate(entries[:at]) if e.kind == "sent" and e.message_id == receipt.message_id]
    if line is not None and line.event == "answered":
        return next(i for i in sent if (entries[i].node, entries[i].at) == (line.peer, line.peer_at))
    return [i for i in sent if entries[i].at <= receipt.at][-1]


def causes(log: list[LogLine], entries: list[Entry]) -> list[set[int]]:
    """For each entry, all that happened before it. Fails if something is told before its cause."""
    past: list[set[int]] = []
    last: dict[str, int] = {}
    lines = iter(log)
    for i, entry in enumerate(entries):
        direct = {last[entry.role]} if entry.role in last else set()
        arrives = entry.role == "orchestrator" and entry.kind not in ("sent", "state")
        line = next(lines) if arrives else None
        if entry.message_id and entry.kind in ("received", "late"):
            direct.add(send_of(entries, i, line))
        past.append(direct.union(*(past[cause] for cause in direct)))
        last[entry.role] = i
    assert next(lines, None) is None, "every line of the log is told"
    return past


def before(a: Entry, b: Entry) -> bool:
    return all(n <= b.clock.get(role, 0) for role, n in a.clock.items())


@pytest.mark.parametrize("seed", sorted({*SEEDS, *range(150)}))
def test_one_entry_is_before_another_exactly_if_its_clock_is(seed: int) -> None:
    schedule = replay(seed)
    log = schedule.log[:50]  # the worst weather only repeats itself, and all pairs are compared
    entries = list(unfold(schedule.definition, ORDER_ID, log))
    past = causes(log, entries)
    for i, later in enumerate(entries):
        for j, earlier in enumerate(entries):
            if i != j:
                assert before(earlier, later) == (j in past[i]), f"{earlier} and {later}"


@pytest.mark.parametrize("seed", SEEDS)
def test_of_what_is_concurrent_the_earlier_is_told_first(seed: int) -> None:
    schedule = replay(seed)
    entries = unfold(schedule.definition, ORDER_ID, schedule.log)
    assert [e.at for e in entries] == sorted(e.at for e in entries)
