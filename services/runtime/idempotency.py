"""Idempotency keys: a request that is repeated is answered as it was the first time.

After draft-ietf-httpapi-idempotency-key-header. A key is scoped by whoever uses it, the method and the
route. Its row is written in the transaction of the request's effect, so either both exist or neither.
The row carries a fingerprint of the request (another request under the same key is an error) and the
answer: at once, or later (`status` is null until then) when the effect takes time.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct

from services.runtime.problems import Problem

EXPIRES_AFTER_S = 24 * 3600
"""Published in the description of the API; longer than any client retries."""

MISSING = (400, "idempotency-key-missing", 'send a unique Idempotency-Key header, such as "8e03978e"')
EXAMPLE = '"8e03978e-40d5"'
HEADER = {"in": "header", "name": "Idempotency-Key", "required": True, "schema": {"type": "string"}}
REQUIRED: dict[str, Any] = {"parameters": [HEADER | {"example": EXAMPLE}]}
"""For OpenAPI. To FastAPI the header is optional, so that its absence is a 400 like any bad key."""

_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r"[\x21\x23-\x7e]+")

# A key that is there is not even tried: if its answer is part of a prepared transaction, that would wait.
CLAIM = """
    INSERT INTO idempotency (id, fingerprint, subject, status, body)
    SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::uuid[], $4::smallint[], $5::text[]) AS k (id)
    WHERE NOT EXISTS (SELECT FROM idempotency i WHERE i.id = k.id) ORDER BY 1
    ON CONFLICT (id) DO NOTHING RETURNING id::text
"""
RECALL = """
    SELECT id::text, fingerprint, subject::text, status, body FROM idempotency WHERE id = ANY($1::uuid[])
"""


class Record(Struct, frozen=True, array_like=True):
    """A key's row. `status` None: the answer is not known yet; `body` may already hold the hoped-for one."""

    id: str
    fingerprint: bytes
    subject: str | None
    status: int | None
    body: str


def read_key(headers: Sequence[str]) -> str:
    """The key, given all `Idempotency-Key` headers of a request. Raises Problem 400."""
    if len(headers) > 1:
        raise Problem(400, "idempotency-key-invalid", "send one Idempotency-Key header, not several")
    return parse_key(headers[0] if headers else None)


def parse_key(header: str | None) -> str:
    """The key in an `Idempotency-Key` header: an RFC 8941 string, or bare. Raises Problem 400."""
    if header is None:
        raise Problem(*MISSING)
    header = header.strip(" \t")
    if quoted := _QUOTED.fullmatch(header):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _BARE.fullmatch(header):
        key = header
    else:
        key = ""
    if not 1 <= len(key) <= 255:
        detail = 'the Idempotency-Key must be 1 to 255 printable ASCII characters, best in quotes: "8e03978e"'
        raise Problem(400, "idempotency-key-invalid", detail)
    return key


def key_id(key: str, *scope: str) -> str:
    """The row's id: a hash of the key in its scope."""
    digest = hashlib.sha256("\x00".join((*scope, key)).encode()).digest()
    return str(UUID(bytes=digest[:16]))


def fingerprint(request: bytes) -> bytes:
    return hashlib.sha256(request).digest()[:16]


async def claim(sql: asyncpg.Connection, records: Sequence[Record]) -> set[str]:
    """Writes the rows of keys never seen before and returns their ids; the others are in use already."""
    rows = await sql.fetch(
        CLAIM,
        [r.id for r in records],
        [r.fingerprint for r in records],
        [r.subject for r in records],
        [r.status for r in records],
        [r.body for r in records],
    )
    return {row["id"] for row in rows}


async def recall(sql: asyncpg.Connection, ids: Iterable[str]) -> dict[str, Record]:
    """The rows of these keys, as far as they exist."""
    return {row["id"]: Record(*row.values()) for row in await sql.fetch(RECALL, list(ids))}


def refuse_reuse(record: Record, request: bytes) -> None:
    """Raises Problem 422 when the key was first used for a different request."""
    if record.fingerprint != request:
        detail = "this Idempotency-Key was used for a different request; use a new key for a new request"
        raise Problem(422, "idempotency-key-reused", detail)
