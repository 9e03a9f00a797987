"""What readers see while orders run and some of them are refused: counted, by protocol."""

from typing import Any

import pytest

from infra.native import Stack
from tests.e2e.test_command import tradeoff

pytestmark = pytest.mark.timeout(300)

ORDERS = 300


async def seen(native: Stack, protocol: str) -> dict[str, Any]:
    code, told = await tradeoff(native, "anomalies", "--protocol", protocol, "--orders", str(ORDERS))
    assert code == 0, told
    assert told["confirmed"] + told["refused"] == ORDERS
    assert told["refused"] == ORDERS // 5
    assert told["reads"] > 10 and told["failed_reads"] == 0
    assert told["sums_off"] == {"payment": 0, "inventory": 0}
    found: dict[str, Any] = told["readers"]
    return found


async def test_a_saga_shows_every_reader_what_is_half_done_and_what_is_undone(native: Stack) -> None:
    for reader in (await seen(native, "saga")).values():
        assert reader["fractured"]["orders"] > 0 and reader["fractured"]["examples"]
        assert reader["dirty"]["orders"] > 0 and reader["dirty"]["examples"]


@pytest.mark.parametrize("protocol", ["2pc", "2pc-group", "3pc"])
async def test_a_commit_shows_a_coordinated_reader_all_or_nothing(native: Stack, protocol: str) -> None:
    readers = await seen(native, protocol)
    assert readers["coordinated"]["fractured"]["orders"] == 0
    assert readers["coordinated"]["left_out"] > 0, "he met what was in doubt"
    assert readers["plain"]["dirty"]["orders"] == readers["coordinated"]["dirty"]["orders"] == 0
