"""What a participant durably knows of its transactions: read, and noted, by those who want it together.

A pre-commit is a row beside a prepared transaction. So unlike a prepare and its commit, which Postgres makes
durable one by one, any number of them can be one commit.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.core.exchange import Round
from orchestrator.core.participant import NEVER, Branch, read_gid
from services.runtime.database import Database
from services.runtime.group_commit import GroupCommit

DEAD_AFTER_S = 3.0
"""A service of which no replica has shown itself for so long was down; its peers must be more patient."""

READ = """
    SELECT a.id::text, p.gid, b.outcome, b.epoch, b.number, n.epoch, n.number,
        p.prepared NOT BETWEEN w.since AND clock_timestamp()
            OR w.until NOT BETWEEN clock_timestamp() - make_interval(secs => $2) AND clock_timestamp()
    FROM unnest($1::uuid[]) AS a (id) CROSS JOIN awake w
    LEFT JOIN branches b ON b.transaction_id = a.id LEFT JOIN precommits n ON n.transaction_id = a.id
    LEFT JOIN pg_prepared_xacts p ON p.database = current_database()
        AND split_part(split_part(p.gid, '/', 1), ':', 2) = a.id::text
"""
NOTE = """
    INSERT INTO precommits
    SELECT DISTINCT a.id, a.epoch, a.number
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[]) AS a (id, epoch, number, gid)
    JOIN pg_prepared_xacts p ON p.gid = a.gid AND p.database = current_database() ORDER BY a.id
    ON CONFLICT (transaction_id) DO UPDATE SET
        (epoch, number, created_at) = (excluded.epoch, excluded.number, excluded.created_at)
    WHERE (precommits.epoch, precommits.number) <= (excluded.epoch, excluded.number)
"""


@dataclass(frozen=True, slots=True)
class Known:
    """`recovering`: this service has been down since it voted."""

    branch: Branch
    gid: str = ""
    recovering: bool = False


class Note(NamedTuple):
    """That this round, prepared by this name, is pre-committed."""

    id: str
    round: Round
    gid: str


class Records:
    """All methods raise AWAY."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reads = GroupCommit[str, Known](self._read_all, bounded=False)
        self._notes = GroupCommit[Note, None](self._note_all, bounded=False)

    async def read(self, ids: Collection[str]) -> dict[str, Known]:
        if not ids:
            return {}
        async with self._database.connection() as sql:
            rows = await sql.fetch(READ, list(ids), DEAD_AFTER_S)
        return {id: _known(*durable) for id, *durable in rows}

    async def read_one(self, id: str) -> Known:
        return await self._reads.submit(id)

    async def note(self, note: Note) -> None:
        """Nothing is noted of what is not prepared, or of a round before one that is noted. And what is
        prepared may be rolled back meanwhile: read again."""
        await self._notes.submit(note)

    async def _read_all(self, ids: Sequence[str]) -> Sequence[Known]:
        known = await self.read(set(ids))
        return [known[id] for id in ids]

    async def _note_all(self, notes: Sequence[Note]) -> Sequence[None]:
        ids, rounds, gids = zip(*notes, strict=True)
        epochs, numbers = zip(*rounds, strict=True)
        async with self._database.connection() as sql:
            await sql.execute(NOTE, ids, epochs, numbers, gids)
        return [None] * len(notes)


def _known(gid: str | None, outcome: str | None, e: int, n: int, pe: int, pn: int, recovering: bool) -> Known:
    name = read_gid(gid or "")
    branch = Branch(
        prepared=name and name[1],
        precommitted=None if pe is None else Round(pe, pn),
        committed=Round(e, n) if outcome == "committed" else None,
        buried=Round(e, n) if outcome == "aborted" else NEVER,
    )
    return Known(branch, gid or "", bool(recovering))
