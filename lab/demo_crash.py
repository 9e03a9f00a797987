"""The demo's crash: the orchestrators are killed while an order waits, and the order ends all the same."""

import os
import signal
import time
from collections.abc import Iterable
from typing import NamedTuple

from lab import orders, processes
from lab.screen import out
from lab.shop import Shop
from lab.state import Stack

KILLED, PAUSED = "orchestrator", "inventory"
STARTED_S = 5.0  # until the saga has surely charged the card
RESTARTED_S = 30.0
ENDED_S = 90.0


class Crash(NamedTuple):
    """What became of the order, and how long after the crash."""

    order_id: str
    status: str
    reason: str
    recovered_s: float


def crash(stack: Stack, shop: Shop, customer: str, item: tuple[str, int]) -> Crash | None:
    """Pauses the inventory so that a saga must wait, kills -9 every orchestrator, lets go. None: cannot."""
    killed, paused = pids(stack, KILLED), pids(stack, PAUSED)
    if not killed or not paused:
        return None
    out.print(
        "The inventory is paused (SIGSTOP), so that the next order has to wait in the middle of its saga."
    )
    try:
        send(paused.values(), signal.SIGSTOP)
        order_id = shop.must(shop.order(customer, [item])).order_id
        out.print(f"Alice orders three notebooks: {order_id}. {_charged(shop, order_id)}")
        send(killed.values(), signal.SIGKILL)
        crashed = time.monotonic()
        names = ", ".join(f"{name} (pid {pid})" for name, pid in sorted(killed.items()))
        out.print(f"[bold red]kill -9[/] of {names}. Nobody is left who knows the saga but Postgres.")
    finally:
        send(paused.values(), signal.SIGCONT)
    out.print("The inventory goes on (SIGCONT).")
    _report_restart(stack, killed, crashed)
    status = orders.await_end(shop, order_id, ENDED_S)
    recovered_s = time.monotonic() - crashed
    return Crash(order_id, status, str(shop.read(order_id).body.get("reason") or ""), recovered_s)


def _charged(shop: Shop, order_id: str) -> str:
    """Waits until the card is charged, as far as the journal tells; says what it saw."""
    deadline = time.monotonic() + STARTED_S
    while time.monotonic() < deadline:
        trace = shop.trace(order_id)
        entries = trace.body.get("entries", []) if trace.code == 200 else []
        if any(entry["what"] == "order.charge done" for entry in entries):
            return "Her card is charged; the stock is not held yet."
        time.sleep(0.05)
    return "Its saga is under way."


def _report_restart(stack: Stack, killed: dict[str, int], crashed: float) -> None:
    deadline = time.monotonic() + RESTARTED_S
    waiting = dict(killed)
    while waiting and time.monotonic() < deadline:
        for name, pid in pids(stack, KILLED).items():
            if waiting.get(name, pid) != pid:
                del waiting[name]
                after = time.monotonic() - crashed
                out.print(f"The supervisor has started {name} again after {after:.1f} s (pid {pid}).")
        time.sleep(0.1)


def pids(stack: Stack, service: str) -> dict[str, int]:
    ports = {name: port for name, port in stack.ports.items() if name.rpartition("-")[0] == service}
    return processes.listeners(ports)


def send(pids: Iterable[int], what: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            continue  # it is gone already: the supervisor will start another
