"""The comparison in plain language: what these figures say, and what they cannot say."""

from collections.abc import Iterator

from lab.anomalies.counts import READERS
from lab.compare import report as reports
from lab.compare.chart import number
from lab.compare.plan import IN_FAULTS, LEVELS, LOST, SLOW_S, Kind
from lab.compare.report import Measured, Report
from lab.workload import PROTOCOLS, SAGA


def reading(report: Report) -> Iterator[str]:
    """Sentences in HTML, each from what was measured; none about what was not."""
    for part in (_speed, _hot, _held, _loss, _death, _away, _hardships):
        if words := part(report):
            yield words
    yield (
        "<b>What this cannot say.</b> All parts share this one machine, and a network of its own loopback: "
        "with real distance each round trip costs more, of which two- and three-phase commit make more while "
        "they hold locks. Disks differ in what an fsync costs. Compare protocols within this page, not this "
        "page with another's; <code>tradeoff compare --against</code> compares two of yours."
    )


def _measured(report: Report, kind: Kind) -> dict[str, Measured]:
    """Of each protocol the last run of this kind, if there is one."""
    return {one: it for one in PROTOCOLS for it in reports.of(report, kind, one)}


def _speed(report: Report) -> str:
    peaks = {one: peak.median for one in PROTOCOLS if (peak := reports.peak(report, one))}
    if not peaks:
        return ""
    ranked = sorted(peaks, key=lambda one: -peaks[one])
    told = ", ".join(f"{one} {number(peaks[one])}" for one in ranked)
    costs = {
        "microseconds of the processors": "cpu",
        "messages": "messages",
        "times that a log was made durable": "fsyncs",
    }
    spent = "".join(
        f" An order took so many {what}: {_by_protocol(report, ranked, kind)}."
        for what, kind in costs.items()
        if reports.of_an_order(report, ranked[0], kind)
    )
    return (
        f"<b>If it has to be fast</b> and different goods are bought: {told} finished orders a second."
        f"{spent} Sagas and groups share transactions and messages among the orders that are under way; "
        "these are figures of many at once."
    )


def _by_protocol(report: Report, protocols: list[str], kind: str) -> str:
    costs = {one: cost for one in protocols if (cost := reports.of_an_order(report, one, kind))}
    return ", ".join(f"{one} {number(cost.median)}" for one, cost in costs.items())


def _hot(report: Report) -> str:
    peaks = {one: peak.median for one in PROTOCOLS if (peak := reports.peak(report, one, "hot"))}
    if not peaks:
        return ""
    told = ", ".join(f"{one} {number(peaks[one])}" for one in sorted(peaks, key=lambda one: -peaks[one]))
    return (
        f"<b>If everybody wants the same thing</b>: {told} a second. A saga locks a row for one commit. "
        "By two- and three-phase commit the next order waits until the one before is decided, unless both "
        "are in one transaction."
    )


def _held(report: Report) -> str:
    found = {one: held for one in PROTOCOLS if (held := reports.held(report, one, LEVELS[1], "stock", "p50"))}
    if not found:
        return ""
    told = ", ".join(f"{one} {number(held.median)}" for one, held in found.items())
    return (
        f"<b>If others want the same</b>: half of the orders held their goods longer than so many "
        f"milliseconds: {told}. A saga's are set aside, and the next order takes from the rest; a commit's "
        "row is locked, and the next one waits."
    )


def _away(report: Report) -> str:
    found = _measured(report, "participant-away")
    if not found:
        return ""
    told = "; ".join(
        f"{one} accepted {number(it.accepted)} of {number(it.orders)}, confirmed {number(it.confirmed)}, "
        f"had {number(it.in_doubt_s)} s in doubt, and had ended {number(it.recovery_s)} s after its start"
        for one, it in found.items()
    )
    all_taken = all(it.accepted == it.orders for it in found.values())
    why = " An order is durable before anybody is asked, so it can be accepted all the same." * all_taken
    first = min(found, key=lambda one: found[one].recovery_s)
    why += (
        " What a saga asks waits in Kafka until somebody reads it; a coordinator asks again, after pauses "
        "that become longer."
    ) * (first == SAGA)
    return f"<b>If a participant is not there at all</b> for a while: {told}.{why}"


def _hardships(report: Report) -> str:
    titles: dict[Kind, str] = {
        "armed": "undisturbed",
        "slow": f"the payment {1000 * SLOW_S:.0f} ms slower",
        "lossy": f"{LOST:.0%} of what is asked lost and {LOST:.0%} twice",
    }
    told = "; ".join(
        f"{words}: " + ", ".join(f"{one} {number(it.latency_ms['p99'])}" for one, it in found.items())
        for kind, words in titles.items()
        if (found := _measured(report, kind))
    )
    if not told:
        return ""
    return (
        f"<b>If a participant is slow, or the network loses something</b>, at {IN_FAULTS:.0%} of each "
        f"protocol's own peak, p99 in milliseconds, {told}. A group waits for the slowest of its orders."
    )


def _loss(report: Report) -> str:
    seen = _measured(report, "readers")
    if not seen:
        return ""

    def told(one: str, it: Measured) -> str:
        torn = " and ".join(f"{number(it.torn[who])} by a {who} reader" for who in READERS)
        return f"{one} {torn}, and {number(it.dirty)} that were refused later"

    of_commits = [it for one, it in seen.items() if one != SAGA]
    why = (
        " By two- and three-phase commit a reader can ask every database what is prepared, and leave it out; "
        "of a saga no database tells what is not over yet."
    ) * (not any(it.torn["coordinated"] for it in of_commits))
    return (
        "<b>If somebody reads while orders run</b>, he may see what is not so. Orders seen half done: "
        f"{'; '.join(told(one, it) for one, it in seen.items())}.{why}"
    )


def _death(report: Report) -> str:
    found = _measured(report, "coordinator-dies")
    if not found:
        return ""
    told = "; ".join(
        f"{one} {number(it.in_doubt_s)} s in doubt, {number(it.recovery_s)} s until all had ended"
        for one, it in found.items()
    )
    return (
        f"<b>If the orchestrator dies</b> at the worst moment and is started again: {told}. In doubt means "
        "locked: whoever wants the same goods or account waits as long. A saga locks nothing meanwhile. By "
        "three-phase commit the participants do not wait for it to come back, but finish wrongly when the "
        "network parts: <code>tradeoff crash orchestrator@after-force:pre-committing --mode partition</code>."
        + _participant_death(report)
    )


def _participant_death(report: Report) -> str:
    found = _measured(report, "participant-dies")
    if not found:
        return ""
    took = {one: it.recovery_s for one, it in found.items()}
    told = ", ".join(f"{one} {number(seconds)}" for one, seconds in took.items())
    why = (
        " A saga's next step waits until Kafka has missed the dead; the others are called over HTTP, and the "
        "other replica answers."
    ) * (took.get(SAGA) == max(took.values()))
    return f" <b>If a participant dies</b>, seconds until all had ended: {told}.{why}"
