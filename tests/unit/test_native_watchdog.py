"""Kafka is restarted for saying no, and only for that."""

import functools

import pytest

from infra.native.watchdog import LOADING, NOES, count

NO = 16  # "not the coordinator"


@pytest.mark.parametrize(
    ("said", "noes"),
    [
        ([NO] * NOES, NOES),
        ([NO, None, -1, None, 15], 3),
        ([NO] * 6 + [0], 0),
        ([NO] * 6 + [LOADING], 0),
        ([None] * 100, 0),
        ([LOADING] * 100, 0),
        ([0] * 100, 0),
    ],
)
def test_a_no_counts_until_it_is_a_yes(said: list[int | None], noes: int) -> None:
    assert functools.reduce(count, said, 0) == noes
