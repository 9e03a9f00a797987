"""What three-phase commit splits when the network parts: the audit has to find it, and it can be mended.

Skeen's protocol is given up by its own assumptions there: whoever is out of reach is taken for dead
(D. Skeen, "Nonblocking commit protocols", SIGMOD 1981, section 1). The schedule is the explorer's shortest,
see `tests/exhaustive/test_every_three_phase_world.py`.
"""

import asyncio
import time
from collections.abc import Iterable

from lab.audit.orders import SPLIT
from lab.audit.promises import Finding
from lab.audit.run import audit_stack
from lab.crash.rows import THREE_PHASE
from lab.shop import Shop
from lab.state import Stack
from lab.witness import Seen

SIDES = ("orchestrator", "order"), ("inventory", "payment")

MENDED_S = 60.0


def split_orders(findings: Iterable[Finding]) -> set[str]:
    """Those that the audit names as split by three-phase commit."""
    return {finding.subject for finding in findings if SPLIT[THREE_PHASE] in finding.words}


def others(seen: Seen, split: set[str]) -> list[str]:
    """What else it has found: not of these orders, nor of the customers who were told of them."""
    deceived = {told.key for told in seen.history if split.intersection(map(str, told.acknowledged))}
    return sorted({one.words for one in seen.findings if one.subject not in split | deceived})


async def mend(stack: Stack, orders: Iterable[str]) -> list[str]:
    """Cancels them, which undoes what was done. Returns what is still wrong."""
    left = await asyncio.to_thread(_cancel, stack, set(orders))
    report = await audit_stack(stack, MENDED_S)
    wrong = [finding.words for finding in report.findings]
    return [f"{order} was split, and could not be cancelled" for order in sorted(left)] + wrong


def _cancel(stack: Stack, orders: set[str]) -> set[str]:
    """Those that are not cancelled in time."""
    until = time.monotonic() + MENDED_S
    with Shop(stack) as shop:
        for order in orders:
            shop.cancel(order)
        while orders and time.monotonic() < until:
            orders = {order for order in orders if shop.must(shop.read(order)).body["status"] != "CANCELLED"}
            time.sleep(0.2)
    return orders
