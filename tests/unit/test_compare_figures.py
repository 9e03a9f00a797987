"""Each figure of a comparison's page stands where the page says that it is: in bars, in tables, in words."""

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

from lab.compare.chart import number
from lab.compare.page import page
from lab.compare.plan import Kind
from lab.compare.reading import reading
from lab.compare.report import Measured
from lab.workload import PROTOCOLS
from tests.unit.compared import filled

Of = Callable[[Measured], float]


def figure(value: Of, kind: Kind, level: float | None = None, goods: str = "uniform") -> tuple[Of, Any]:
    """What a group of bars shows, and of which cells."""
    return value, lambda cell: cell.kind == kind and cell.goods == goods and level in (None, cell.level)


def at_shares(words: str, value: Callable[[Measured], dict[str, float]], kind: Kind, level: float) -> Any:
    def of(share: str) -> Of:
        return lambda it: value(it)[share]

    return {words.format(share=share): figure(of(share), kind, level) for share in ("p50", "p99")}


def latency(it: Measured) -> dict[str, float]:
    return it.latency_ms


DIED: dict[Kind, str] = {
    "coordinator-dies": "the orchestrator dies when all that could say no has said yes",
    "coordinators-away": "all orchestrators die then, and are away for 8 s of it",
    "participant-dies": "the payment dies with the charge in its hands",
}
RECOVERED: dict[str, Of] = {
    "longest in doubt": lambda it: it.in_doubt_s,
    "recovered": lambda it: it.recovery_s,
}
FIGURES: dict[str, Any] = {
    "1,000 products, each as likely": figure(lambda it: it.finished_per_s, "peak"),
    "some far more wanted (Zipf 0.99)": figure(lambda it: it.finished_per_s, "peak", goods="zipf"),
    "one product": figure(lambda it: it.finished_per_s, "peak", goods="hot"),
    **at_shares("{share}, at 30% of each protocol's own peak", latency, "rate", 0.3),
    **at_shares("{share}, at 70% of each protocol's own peak", latency, "rate", 0.7),
    **at_shares("{share}, at 90% of each protocol's own peak", latency, "rate", 0.9),
    **at_shares("until the order is accepted: {share}", latency, "acknowledged", 0.7),
    **at_shares("until it is final: {share}", latency, "rate", 0.7),
    "CPU of all parts at the peak, microseconds": figure(lambda it: it.cpu_us["all"], "peak"),
    "messages between the services at the peak, answers included": figure(
        lambda it: it.cost["messages"]["all"], "peak"
    ),
    "transactions that Postgres counts as committed at the peak, those that only read, too": figure(
        lambda it: it.cost["commits"]["all"], "peak"
    ),
    "write-ahead log at the peak, bytes": figure(lambda it: it.cost["wal_bytes"]["all"], "peak"),
    "times the log was made durable (fsync), at the peak": figure(
        lambda it: it.cost["fsyncs"]["all"], "peak"
    ),
    **at_shares("goods: {share}", lambda it: it.held_ms["stock"], "rate", 0.7),
    **at_shares("money: {share}", lambda it: it.held_ms["money"], "rate", 0.7),
    **{
        f"{title}: {words}": figure(value, kind)
        for kind, title in DIED.items()
        for words, value in RECOVERED.items()
    },
    **at_shares("undisturbed: {share}", latency, "armed", 0.3),
    **at_shares("every transaction of the payment takes 200 ms longer: {share}", latency, "slow", 0.3),
    **at_shares(
        "2% of the orchestrator's messages (saga), calls (others) lost, 2% twice: {share}",
        latency,
        "lossy",
        0.3,
    ),
}
"""What each group of bars says that it is, or the title of a picture that has but one."""


def test_the_page_names_each_figure_rightly() -> None:
    """The bars: each protocol beside its own figure, in groups that say which one."""
    report = filled(rounds=1)
    shown = {title: names for drawn in figures(page(report)) for title, names in groups(*drawn)}
    assert shown.keys() == FIGURES.keys()
    for title, (value, is_one) in FIGURES.items():
        runs = {one.cell.protocol: number(value(one)) for one in report.measured if is_one(one.cell)}
        assert shown[title] == [(protocol, runs[protocol]) for protocol in PROTOCOLS], title
        assert len({*runs.values()}) > 1, title


def figures(text: str) -> Iterator[tuple[str, str]]:
    """Pictures of bars: title and shapes."""
    for drawn in re.findall(r"<figure>(.*?)</figure>", text, flags=re.DOTALL):
        if 'class="name"' in drawn:
            yield unescape(re.findall(r"<figcaption>(.*?)</figcaption>", drawn)[0]), drawn


def groups(title: str, drawn: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """What each group is called, and the names and values of its bars."""
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for kind, words in re.findall(r'<text [^>]*class="(group|name|value)"[^>]*>([^<]*)</text>', drawn):
        if kind == "group" or not found:
            found.append((unescape(words) if kind == "group" else title, []))
        if kind == "name":
            name = words
        elif kind == "value":
            found[-1][1].append((name, words))
    yield from found


TABLES: dict[str, dict[str, Of]] = {
    "participant-away": {
        "orders asked": lambda it: it.orders,
        "accepted": lambda it: it.accepted,
        "confirmed in the end": lambda it: it.confirmed,
        "refused in the end": lambda it: it.refused,
        "longest in doubt, seconds": lambda it: it.in_doubt_s,
        "all ended, seconds after it was started again": lambda it: it.recovery_s,
    },
    "readers": {
        "looks": lambda it: it.reads,
        "orders": lambda it: it.orders,
        "half done, plain": lambda it: it.torn["plain"],
        "half done, coordinated": lambda it: it.torn["coordinated"],
        "seen, then refused": lambda it: it.dirty,
    },
}


def test_the_tables_name_each_figure_rightly() -> None:
    report = filled(rounds=1)
    tables = [cells(table) for table in re.findall(r"<table>.*?</table>", page(report), flags=re.DOTALL)]
    for kind, columns in TABLES.items():
        [table] = [table for table in tables if table[0] == ["protocol", *columns]]
        runs = [one for one in report.measured if one.cell.kind == kind]
        assert table[1:] == [
            [it.cell.protocol, *(number(value(it)) for value in columns.values())] for it in runs
        ]


def test_peaks_beside_one_another_are_of_the_same_round() -> None:
    report = filled(rounds=3)
    report.paired["uniform"]["saga"] = [5.0, 3.0, 4.0]
    [table] = [
        cells(table)
        for table in re.findall(r"<table>.*?</table>", page(report), flags=re.DOTALL)
        if "in the same round" in table
    ]
    assert table[0] == ["so many times as fast as 2pc in the same round", *PROTOCOLS]
    assert table[1][1] == "4 (3 to 5)"
    assert table[1][0] == "1,000 products, each as likely"


def test_who_was_told_to_come_again_later_is_told_of() -> None:
    report = filled(rounds=1)
    told = ", ".join(
        f"{it.cell.protocol} {number(it.accepted)} of {number(it.orders)}"
        for it in report.measured
        if it.cell.kind == "acknowledged"
    )
    assert f"have no part in it: {told}." in page(report)


def test_every_run_is_in_the_last_table() -> None:
    report = filled()
    [*_, table] = re.findall(r"<table>.*?</table>", page(report), flags=re.DOTALL)
    head, *rows = cells(table)
    for row, it in zip(rows, report.measured, strict=True):
        told = dict(zip(head, row, strict=True))
        assert told["cell"] == str(it.cell)
        for name, value in {
            "round": it.cell.round, "orders": it.orders, "confirmed": it.confirmed, "refused": it.refused,
            "retried": it.retried, "offered/s": it.offered_per_s, "finished/s": it.finished_per_s,
            "timed": it.timed, "p50 ms": it.latency_ms["p50"], "p95 ms": it.latency_ms["p95"],
            "p99 ms": it.latency_ms["p99"], "max ms": it.latency_ms["max"],
            "Python MiB": it.rss_mib["python"], "seconds": it.seconds,
        }.items():  # fmt: skip
            assert told[name] == number(value), name


def cells(table: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", table, flags=re.DOTALL)
    return [[unescape(cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row)] for row in rows]


READ: dict[str, Callable[[Measured], str]] = {
    "peak": lambda it: number(it.finished_per_s),
    "readers": lambda it: (
        f"{number(it.torn['plain'])} by a plain reader and {number(it.torn['coordinated'])} by a "
        f"coordinated reader, and {number(it.dirty)} that were refused later"
    ),
    "coordinator-dies": lambda it: (
        f"{number(it.in_doubt_s)} s in doubt, {number(it.recovery_s)} s until all had ended"
    ),
    "participant-dies": lambda it: number(it.recovery_s),
    "participant-away": lambda it: (
        f"accepted {number(it.accepted)} of {number(it.orders)}, confirmed {number(it.confirmed)}, "
        f"had {number(it.in_doubt_s)} s in doubt, and had ended {number(it.recovery_s)} s after its start"
    ),
    **dict.fromkeys(("armed", "slow", "lossy"), lambda it: number(it.latency_ms["p99"])),
}


def test_the_reading_names_each_figure_rightly() -> None:
    report = filled(rounds=1)
    words = " ".join(re.sub(r"<[^>]+>", "", one) for one in reading(report))
    for kind, told in READ.items():
        for it in report.measured:
            if it.cell.kind == kind and it.cell.goods != "zipf":
                assert f"{it.cell.protocol} {told(it)}" in words
    for it in report.measured:
        if it.cell.kind == "rate" and it.cell.level == 0.7:
            assert f"{it.cell.protocol} {number(it.held_ms['stock']['p50'])}" in words


def test_the_reading_explains_no_figure_that_came_out_otherwise() -> None:
    report = filled(rounds=1)
    for one in report.measured:
        if one.cell.kind == "participant-away":
            one.accepted = one.orders
            one.recovery_s = 1.0 if one.cell.protocol == "saga" else 9.0
        if one.cell.kind == "readers":
            one.torn["coordinated"] = 0
        if one.cell.kind == "participant-dies":
            one.recovery_s = 9.0 if one.cell.protocol == "saga" else 1.0
    told = " ".join(reading(report))
    explained = (
        "accepted all the same",
        "no database tells",
        "Kafka has missed the dead",
        "pauses that become longer",
    )
    assert all(words in told for words in explained)
    for one in report.measured:
        if one.cell.protocol == "2pc":
            one.accepted, one.recovery_s = 1, 10.0
            one.torn = one.torn and {"plain": 0, "coordinated": 1}
        if one.cell.protocol == "saga" and one.cell.kind == "participant-away":
            one.recovery_s = 20.0
    told = " ".join(reading(report))
    assert not any(words in told for words in explained)
