"""Dead letters: a message that cannot be handled is put aside once, with the reason, and not in the way.

The row is keyed by where the message lies in Kafka, so that reading it again, however often, adds
nothing; a copy goes to the dead-letter topic in the same transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import structlog
from msgspec import Struct

from services.runtime.bus import Record
from services.runtime.envelope import seal
from services.runtime.outbox import Transaction

log = structlog.get_logger()

PUT_ASIDE = """
    INSERT INTO dead_letters (topic, "partition", "offset", reason, key, payload)
    SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::bytea[])
    ON CONFLICT DO NOTHING RETURNING topic, "partition", "offset", reason, key
"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    record: Record
    reason: str


class Buried(Struct, frozen=True):
    """What the dead-letter topic says; the message itself stays in the table."""

    topic: str
    partition: int
    offset: int
    reason: str
    key: str
    buried_at: datetime


async def bury(tx: Transaction, letters: Sequence[DeadLetter], *, topic: str, source: str) -> None:
    """Records letters seen for the first time and announces them on `topic`."""
    rows = await tx.sql.fetch(
        PUT_ASIDE,
        [letter.record.topic for letter in letters],
        [letter.record.partition for letter in letters],
        [letter.record.offset for letter in letters],
        [_text(letter.reason.encode("utf-8", "replace")) for letter in letters],
        [_text(letter.record.key or b"") for letter in letters],
        [letter.record.value or b"" for letter in letters],
    )
    for row in rows:
        buried = Buried(**row, buried_at=datetime.now(UTC))
        log.error("dead letter", **msgspec.structs.asdict(buried))
        where = f"{buried.topic}/{buried.partition}/{buried.offset}"
        tx.put(topic, seal(buried, id=f"dead/{where}", source=source, subject=buried.key or where))


def _text(value: bytes) -> str:
    """Readable whatever it was: Postgres takes neither broken UTF-8 nor NUL (22021)."""
    return value.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")[:2000]
