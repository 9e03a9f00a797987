"""The demo's partition: the explorer's shortest way to split three-phase commit, on real parts.

all have voted yes                          the coordinator records: pre-committing
─────── the network parts {coordinator, order} from {inventory, payment} ───────
order hears PreCommit                       inventory and payment hear nothing
the coordinator takes the silent for dead   they take the silent for dead
Commit                                      nobody here has heard PreCommit: abort
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvloop

from infra import native
from lab import state
from lab.crash.partition import SIDES
from lab.crash.rows import SPLITTING
from lab.demo_protocols import show
from lab.doubt import Doubt, in_doubt
from lab.faults import Faults, point
from lab.screen import out
from lab.shop import Shop
from lab.state import Stack, Trouble

FINISHED_S = 30.0
"""Three seconds of a silent coordinator, and four of silent peers, until a side is on its own."""


@contextmanager
def chaos() -> Iterator[None]:
    """The stack's processes take faults for as long as this lasts; each change restarts them."""
    layout = native.Stack.existing(state.directory()).layout
    out.print("All services are started anew with CHAOS=1, so that they can be told to lose messages.")
    native.Stack(layout=layout, environment={"CHAOS": "1"}).up()
    try:
        yield
    finally:
        native.Stack(layout=layout).up()
        out.print("All services are started anew without CHAOS.")


def split(stack: Stack, shop: Shop, customer: str, item: tuple[str, int]) -> str:
    """Parts the network until each side has ended the order in its way. Returns the id. Raises Trouble."""
    with Faults(stack) as faults:
        faults.put("orchestrator", point("hold", SPLITTING))
        order_id = shop.must(shop.order(customer, [item], protocol="3pc")).order_id
        faults.await_held(SPLITTING)
        out.print(
            f"Alice orders a lamp: {order_id}. All have voted yes, and the coordinator has recorded that."
        )
        faults.part(*SIDES)
        out.print(
            "[bold red]The network parts[/] coordinator and order from inventory and payment. Of the"
            " PreCommit only the order service hears."
        )
        _await(lambda: len(doubts(stack)) == 2, "The order service has not finished.")
        show(doubts(stack))
        out.print("The coordinator takes the silent two for dead: the order is [green]CONFIRMED[/].")
        _await(lambda: not doubts(stack), "Inventory and payment have not finished.")
        out.print("They take it for dead, too. Neither has heard PreCommit, so they [red]abort[/].")
    out.print("The network is whole again, and the coordinator hears what they have done.")
    _await(lambda: is_mixed(shop, order_id), "The coordinator has not noticed.")
    return order_id


def doubts(stack: Stack) -> list[Doubt]:
    return uvloop.run(in_doubt(stack))


def _await(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + FINISHED_S
    while not condition():
        if time.monotonic() > deadline:
            raise Trouble(otherwise)
        time.sleep(0.1)


def is_mixed(shop: Shop, order_id: str) -> bool:
    """Its transaction has ended, and it is on record that not all have done the same."""
    entries = shop.must(shop.trace(order_id)).body["entries"]
    return any(str(e["what"]).startswith("ended") and "mixed" in str(e["what"]) for e in entries)
