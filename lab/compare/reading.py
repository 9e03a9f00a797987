"""The comparison in plain language: what these figures say, and what they cannot say."""

from collections.abc import Iterator

from lab.compare import report as reports
from lab.compare.chart import number
from lab.compare.report import Measured, Report
from lab.crash.rows import PROTOCOLS


def reading(report: Report) -> Iterator[str]:
    """Sentences in HTML, each from what was measured; none about what was not."""
    for part in (_speed, _hot, _loss, _death):
        if words := part(report):
            yield words
    yield (
        "<b>What this cannot say.</b> All parts share this one machine, and a network of its own loopback: "
        "with real distance each round trip costs more, of which two- and three-phase commit make more while "
        "they hold locks. Disks differ in what an fsync costs. Compare protocols within this page, not this "
        "page with another's; <code>tradeoff compare --against</code> compares two of yours."
    )


def _speed(report: Report) -> str:
    peaks = {one: peak.median for one in PROTOCOLS if (peak := reports.peak(report, one))}
    if not peaks:
        return ""
    ranked = sorted(peaks, key=lambda one: -peaks[one])
    told = ", ".join(f"{one} {number(peaks[one])}" for one in ranked)
    return (
        f"<b>If it has to be fast</b> and different goods are bought: {told} finished orders a second. "
        "Making things durable is what costs. A saga's batches and <code>2pc-group</code> share that among "
        "many orders; <code>2pc</code> and <code>3pc</code> pay it for each."
    )


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


def _loss(report: Report) -> str:
    seen = {one: it for one in PROTOCOLS for it in reports.of(report, "readers", one)}
    if not seen:
        return ""

    def told(one: str, it: Measured) -> str:
        return f"{one} {number(it.fractured)} half done, {number(it.dirty)} refused afterwards"

    return (
        "<b>If somebody reads while orders run</b>, he sees what is not so yet. Of "
        f"{number(max(it.orders for it in seen.values()))} orders by each protocol a careful reader saw: "
        f"{'; '.join(told(one, it) for one, it in seen.items())}. That isolation is what the locks buy."
    )


def _death(report: Report) -> str:
    found = {one: it for one in PROTOCOLS for it in reports.of(report, "coordinator-dies", one)}
    if not found:
        return ""
    told = "; ".join(
        f"{one} {number(it.in_doubt_s)} s in doubt, {number(it.recovery_s)} s until all had ended"
        for one, it in found.items()
    )
    return (
        f"<b>If the orchestrator dies</b> at the worst moment: {told}. In doubt means locked: whoever wants "
        "the same goods or account waits as long. A saga locks nothing meanwhile. Three-phase commit ends it "
        "without the coordinator, but is wrong when the network parts: see <code>tradeoff crash "
        "orchestrator@after-force:pre-committing --mode partition</code>."
    )
