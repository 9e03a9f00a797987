"""When the customers' patience is over: their answers become 202, many in one transaction."""

from collections.abc import Sequence

from services.order import store
from services.order.answers import Answers
from services.order.placing import pending
from services.runtime import idempotency
from services.runtime.database import Database
from services.runtime.group_commit import GroupCommit
from services.runtime.idempotency import Record


class Patience:
    """`end` makes a key's answer 202 unless the outcome was quicker, and returns the one or the other.

    None: it is in doubt. While the confirmation is prepared, no other answer can be promised.
    """

    def __init__(self, database: Database, answers: Answers) -> None:
        self._database = database
        self._answers = answers
        self.end = GroupCommit[Record, Record | None](self._end_all, bounded=False).submit

    async def _end_all(self, records: Sequence[Record]) -> list[Record | None]:
        ids = [record.id for record in records]
        async with self._database.transaction() as sql:
            receipts = [pending(record.subject or "") for record in records]
            await sql.execute(store.ANSWER_ACCEPTED, ids, receipts)
            stored = await idempotency.recall(sql, ids)
        final = {id: record for id, record in stored.items() if record.status is not None}
        self._answers.finished(list(final.values()))
        return [final.get(id) for id in ids]
