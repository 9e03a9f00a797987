"""What a janitor forgets."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from services.runtime import janitor
from services.runtime.idempotency import EXPIRES_AFTER_S


async def test_expired_keys_are_forgotten_a_few_at_a_time_and_no_others(
    stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a transaction that is rolled back, so that the stack's own janitors do not take part."""
    monkeypatch.setattr(janitor, "PRUNE_AT_ONCE", 2)
    chore = janitor.prune("idempotency", "id", EXPIRES_AFTER_S)
    insert = """
        INSERT INTO idempotency (id, fingerprint, body, created_at)
        SELECT id, '', '', now() - make_interval(secs => $2) FROM unnest($1::uuid[]) AS id
    """
    connection = await asyncpg.connect(stack["databases"]["order"]["owner"])
    transaction = connection.transaction()
    await transaction.start()
    try:
        old, young = [str(uuid4()) for _ in range(3)], [str(uuid4())]
        await connection.execute(insert, old, EXPIRES_AFTER_S + 1)
        await connection.execute(insert, young, EXPIRES_AFTER_S - 60)

        async def left(ids: list[str]) -> int:
            found: int = await connection.fetchval(
                "SELECT count(*) FROM idempotency WHERE id = ANY($1::uuid[])", ids
            )
            return found

        for expected in (1, 0, 0):
            await chore(connection)
            assert (await left(old), await left(young)) == (expected, 1)
    finally:
        await transaction.rollback()
        await connection.close()
