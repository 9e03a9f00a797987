"""What the command knows of a stack, and what it says when there is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab import state
from lab.state import Stack, Trouble

TOLD: dict[str, Any] = {
    "public_url": "http://127.0.0.1:8080/",
    "internal_url": "http://127.0.0.1:8081",
    "operator_token": "secret",
    "kafka": "127.0.0.1:9192",
    "redis_url": "redis://:p@127.0.0.1:6390/0",
    "databases": {
        "order": {"owner": "postgresql://order:p@127.0.0.1:5501/order", "audit": "postgresql://a@h/o"}
    },
    "processes": {"order-1": {"port": 8111}},
    "supervisor": "/run/s.sock",
}


def stack() -> Stack:
    return state.parse(TOLD)


def test_a_stack_knows_who_listens_where() -> None:
    assert stack().public_url == "http://127.0.0.1:8080"
    assert stack().listeners() == {
        "nginx": 8080,
        "kafka": 9192,
        "redis": 6390,
        "postgres-order": 5501,
        "order-1": 8111,
    }


def test_a_replica_is_reached_on_this_machine_or_behind_the_name_of_its_service() -> None:
    assert stack().addresses == {"order-1": "127.0.0.1:8111"}
    among = state.parse(TOLD | {"processes": {}, "replicas": 2, "behind": {"order": "localhost:8000"}})
    assert among.addresses == {"order-1": "127.0.0.1:8000"}
    assert state.parse(TOLD | {"processes": {}, "behind": {"order": "nowhere.invalid:8000"}}).addresses == {}


def test_the_state_is_read_from_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stack.json").write_text(json.dumps(TOLD))
    monkeypatch.setenv("TRADEOFF_STATE", str(tmp_path))
    assert state.load() == stack()


def test_no_stack_is_a_trouble_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEOFF_STATE", str(tmp_path))
    with pytest.raises(Trouble, match="make up"):
        state.load()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"databases": 3}'])
def test_a_broken_state_is_a_trouble_and_no_traceback(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stack.json").write_text(text)
    monkeypatch.setenv("TRADEOFF_STATE", str(tmp_path))
    with pytest.raises(Trouble, match="not readable"):
        state.load()
