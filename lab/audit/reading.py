"""One picture per order, put together from four databases that do not know one another.

Each database gives its rows about orders grouped by order id and sorted by it, through a cursor; the
four streams are merged in chunks. So memory stays flat whatever the number of orders. The facts of one
database come from one statement, hence one snapshot, and never contradict themselves; between databases
they may, while orders are moving: the caller looks again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from lab.audit import queries
from lab.databases import Connection, Databases
from services.contract.commit import PARTICIPANTS

CHUNK = 5_000
# All rows of the cursor will be read, so plan for the last one and not for the first; sort in memory.
# And whoever sorts least waits for the others, with millions of orders for minutes.
WHOLE = """
    set local cursor_tuple_fraction = 1; set local work_mem = '64MB'; set local jit = off;
    set local idle_in_transaction_session_timeout = '1h'
"""


class OrderFacts(NamedTuple):
    """What the order database says; `status` is None when it has traces of an order it does not know."""

    customer_id: str | None
    status: str | None
    reason: str | None
    amount: int
    request_id: UUID | None
    created_at: datetime
    ended_at: datetime | None
    cancel_requested_at: datetime | None
    cancelled_at: datetime | None
    lines: str | None  # "sku=quantity,sku=quantity", sorted by sku
    total: int | None  # of price x quantity over the lines
    steps: str | None  # "step=outcome,step=outcome" of the inbox
    keys: int | None
    key_id: UUID | None
    key_status: int | None
    key_names_order: bool | None


class PaymentFacts(NamedTuple):
    charged: int | None
    refunded: int | None
    charged_from: str | None
    refunded_to: str | None
    steps: str | None


class InventoryFacts(NamedTuple):
    lines: str | None  # as above, over the order's holds
    states: str | None  # the different states of the holds: "held", "held,shipped"
    steps: str | None


class SagaFacts(NamedTuple):
    shards: list[int]
    order_running: bool | None  # None: there is no such saga
    order_outcome: str | None
    cancel_running: bool | None
    oldest_running: datetime | None
    mixed: str | None  # "3pc:inventory,payment:ID": did the opposite of how the commit that bought it ended


class Split(NamedTuple):
    """A commit that has ended differently at different participants."""

    transaction: str
    protocol: str
    opposite: tuple[str, ...]  # of what the coordinator decided
    committed: tuple[str, ...]
    aborted: tuple[str, ...]


class ByHand(NamedTuple):
    """An operator has decided that at this participant, in the coordinator's place."""

    participant: str
    outcome: str
    reason: str


class Picture(NamedTuple):
    order_id: UUID
    order: OrderFacts | None
    payment: PaymentFacts | None
    inventory: InventoryFacts | None
    sagas: SagaFacts | None
    by_hand: tuple[ByHand, ...] = ()  # of an order that is split

    @property
    def status(self) -> str | None:
        return self.order.status if self.order else None

    @property
    def split(self) -> Split | None:
        if not self.sagas or not self.sagas.mixed:
            return None
        protocol, names, transaction = self.sagas.mixed.split(":")
        opposite = tuple(name for name in PARTICIPANTS if name in names.split(","))
        others = tuple(name for name in PARTICIPANTS if name not in opposite)
        committed = self.sagas.order_outcome == "completed"
        sides = (others, opposite) if committed else (opposite, others)
        return Split(transaction, protocol, opposite, *sides)

    def bought(self, participant: str) -> bool:
        """Its commit, if it had one, was not aborted here alone."""
        return not self.split or participant in self.split.committed

    @property
    def running(self) -> bool:
        """A saga of this order is at work: what its databases hold is not yet the end of the story."""
        return bool(self.sagas and (self.sagas.order_running or self.sagas.cancel_running))


# In this order, because an order whose sagas were over *before* the others were read is at rest in them.
SOURCES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("orchestrator", queries.SAGAS, SagaFacts),
    ("payment", queries.PAYMENT, PaymentFacts),
    ("inventory", queries.INVENTORY, InventoryFacts),
    ("order", queries.ORDER, OrderFacts),
)


class _Stream:
    """One database's orders, a chunk at a time."""

    def __init__(self, facts: Callable[..., Any], cursor: Any) -> None:
        self.facts, self.cursor = facts, cursor
        self.rows: list[Any] = []
        self.over = False

    async def fill(self) -> None:
        if not self.rows and not self.over:
            self.rows = await self.cursor.fetch(CHUNK)
            self.over = len(self.rows) < CHUNK

    def take(self, bound: UUID | None) -> list[Any]:
        """The rows up to and including `bound`; all of them when nobody has more to come."""
        if bound is None or (self.rows and self.rows[-1][0] <= bound):
            taken, self.rows = self.rows, []
            return taken
        cut = next((n for n, row in enumerate(self.rows) if row[0] > bound), len(self.rows))
        taken, self.rows = self.rows[:cut], self.rows[cut:]
        return taken


async def pictures(databases: Databases, ids: Sequence[UUID] | None = None) -> AsyncIterator[list[Picture]]:
    """All orders (or only these), in batches, sorted by id."""
    async with AsyncExitStack() as opened:
        streams = []
        for name, query, facts in SOURCES:
            connection = databases[name]
            await opened.enter_async_context(_snapshot(connection))
            await connection.execute(WHOLE)
            text = queries.narrowed(query, some=ids is not None)
            cursor = await connection.cursor(text, *(() if ids is None else (list(ids),)))
            streams.append(_Stream(facts, cursor))
        await asyncio.gather(*(stream.fill() for stream in streams))
        while any(stream.rows for stream in streams):
            # Beyond the end of the shortest chunk, another stream may still have rows to come.
            bound = min((s.rows[-1][0] for s in streams if not s.over and s.rows), default=None)
            batch = await _with_hands(databases, _joined([(s.facts, s.take(bound)) for s in streams]))
            ahead = asyncio.gather(*(stream.fill() for stream in streams))
            try:
                await asyncio.sleep(
                    0
                )  # the databases work on the next chunks while the caller judges this one
                yield batch
            finally:
                await ahead


def _snapshot(connection: Connection) -> Any:
    """A transaction for the cursor; when the caller (a test) has one open, what is in it is to be seen."""
    if connection.is_in_transaction():
        return connection.transaction()
    return connection.transaction(isolation="repeatable_read", readonly=True)


def _joined(parts: list[tuple[Callable[..., Any], list[Any]]]) -> list[Picture]:
    found: dict[UUID, list[Any]] = {}
    for place, (facts, rows) in enumerate(parts):
        for row in rows:
            order_id, *values = row
            found.setdefault(order_id, [None, None, None, None])[place] = facts(*values)
    # SOURCES is read sagas first; a picture shows the order first.
    return [Picture(key, v[3], v[1], v[2], v[0]) for key, v in sorted(found.items())]


async def _with_hands(databases: Databases, batch: list[Picture]) -> list[Picture]:
    """Of split orders also what was decided by hand where it did not agree. There are few, if any."""
    split = {picture.order_id: picture.split for picture in batch if picture.split}
    if not split:
        return batch
    found: dict[tuple[str, str], ByHand] = {}
    for name in PARTICIPANTS:
        ids = [one.transaction for one in split.values() if name in one.opposite]
        for transaction, outcome, reason in await databases[name].fetch(queries.BY_HAND, ids):
            found[transaction, name] = ByHand(name, outcome, reason)
    return [picture._replace(by_hand=_hands(picture.split, found)) for picture in batch]


def _hands(split: Split | None, found: Mapping[tuple[str, str], ByHand]) -> tuple[ByHand, ...]:
    if split is None:
        return ()
    return tuple(found[key] for name in split.opposite if (key := (split.transaction, name)) in found)
