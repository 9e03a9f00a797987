"""The order service's part in a commit: orders are confirmed, or their cancellation is closed."""

from collections.abc import Sequence

import asyncpg

from services.contract.commit import Refused, Work
from services.order import store
from services.order.answers import Answers
from services.runtime.database import Database
from services.runtime.idempotency import Record


async def work(sql: asyncpg.Connection, works: Sequence[Work]) -> Sequence[Refused]:
    """An order that is not, or no longer, where its kind of work begins is refused."""
    bought = [work.order_id for work in works if work.kind == "buy"]
    cancelled = [work.order_id for work in works if work.kind == "cancel"]
    ended: set[str] = set()
    if bought:
        ended |= {row["order_id"] for row in await sql.fetch(store.CONFIRM_ALL, bought)}
    if cancelled:
        ended |= {row["order_id"] for row in await sql.fetch(store.CLOSE_CANCELLED, cancelled)}
    return [
        Refused(work.order_id, "not-pending", f"there is no order {work.order_id} that waits for this")
        for work in works
        if work.order_id not in ended
    ]


def script(work: Work) -> str:
    """Fails when it does not wait for that."""
    return store.CONFIRM_ONE.format(id=work.order_id)


class Waiting:
    """Those who wait for the orders of a transaction. Any replica may have prepared it."""

    def __init__(self, database: Database, answers: Answers) -> None:
        self._database = database
        self._answers = answers

    async def committed(self, ids: Sequence[str]) -> None:
        """Their answers have just become final: this is when the customers hear."""
        async with self._database.connection() as sql:
            rows = await sql.fetch(store.ANSWERED, ids)
        self._answers.finished([Record(*row.values()) for row in rows])
