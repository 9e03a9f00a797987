"""The demo's commits: the same order by two- and by three-phase commit, and a coordinator that dies."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import uvloop
from rich.table import Table

from lab import orders
from lab.demo_crash import pids, send
from lab.doubt import Doubt, in_doubt
from lab.screen import out
from lab.shop import Answer, Shop
from lab.state import Stack

VOTED_S = 10.0
WATCHED_S = 12.0
"""Longer than the participants of three-phase commit wait before they finish by themselves."""

FINISHED_S = 60.0


class NotInDoubt(Exception):
    """The votes did not come, or came to an end before the coordinator was gone."""


class Orphan(NamedTuple):
    """What became of an order while nobody coordinated it: still in doubt, or finished after so long."""

    order_id: str
    blocked: bool
    watched_s: float


def everywhere(shop: Shop, customer: str, item: tuple[str, int]) -> list[tuple[str, Answer, float]]:
    """The same order under every protocol, one after the other: (protocol, answer, milliseconds)."""
    answers = []
    for protocol in ("saga", "2pc", "2pc-group", "3pc"):
        began = time.monotonic()
        answer = shop.order(customer, [item], protocol=protocol, wait_s=30)
        answers.append((protocol, answer, 1000 * (time.monotonic() - began)))
    return answers


def orphaned(stack: Stack, shop: Shop, protocol: str, customer: str, item: tuple[str, int]) -> Orphan:
    """An order whose coordinators go away between the votes and the decision, and come back.

    They are stopped (SIGSTOP) rather than killed, or the supervisor would have them back in a second.
    Raises NotInDoubt.
    """
    with ExitStack() as nobody:
        with _stopped(stack, "inventory", "its vote is missing"):
            order_id = shop.must(shop.order(customer, [item], protocol=protocol)).order_id
            _await_votes(stack, 2)
            nobody.enter_context(_stopped(stack, "orchestrator", "nobody is left who could decide"))
        show(_await_votes(stack, 3))
        began = time.monotonic()
        while (left := uvloop.run(in_doubt(stack))) and time.monotonic() < began + WATCHED_S:
            time.sleep(0.1)
        return Orphan(order_id, bool(left), time.monotonic() - began)


def finished(shop: Shop, order_id: str) -> str:
    """The order's status when it has ended."""
    return orders.await_end(shop, order_id, FINISHED_S)


def show(doubts: list[Doubt]) -> None:
    table = Table(box=None, padding=(0, 2))
    for column in ("participant", "prepared transaction", "age", "locks rows of", "waiting"):
        table.add_column(column)
    for doubt in doubts:
        table.add_row(
            doubt.participant, doubt.gid, f"{doubt.age_s:.1f} s", ", ".join(doubt.tables), str(doubt.waiting)
        )
    out.print(table)


@contextmanager
def _stopped(stack: Stack, service: str, effect: str) -> Iterator[None]:
    found = pids(stack, service)
    if not found:
        raise NotInDoubt("The stack's processes cannot be found from here; are you who started it?")
    out.print(f"[bold red]SIGSTOP[/] of {', '.join(sorted(found))}: {effect}.")
    send(found.values(), signal.SIGSTOP)
    try:
        yield
    finally:
        send(found.values(), signal.SIGCONT)
        out.print(f"{', '.join(sorted(found))} go on (SIGCONT).")


def _await_votes(stack: Stack, votes: int) -> list[Doubt]:
    deadline = time.monotonic() + VOTED_S
    while len(doubts := uvloop.run(in_doubt(stack))) < votes:
        if time.monotonic() > deadline:
            raise NotInDoubt(f"Only {len(doubts)} of {votes} have prepared the order.")
        time.sleep(0.05)
    return doubts
