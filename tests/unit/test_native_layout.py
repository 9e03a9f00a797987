"""Which settings a stack is started with."""

import json
from pathlib import Path

import pytest

from infra.native import Failure, Stack
from infra.native.configuration import describe
from infra.native.credentials import NAMES
from infra.native.layout import Layout

SECRETS = dict.fromkeys(NAMES, "secret")


def start(state: Path) -> Layout:
    """What a start writes down, without starting anything."""
    layout = Layout.of(state)
    describe(layout, SECRETS)
    return layout


def test_what_was_chosen_once_is_chosen_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICAS", "3")
    monkeypatch.setenv("NGINX_PUBLIC_PORT", "9000")
    first = start(tmp_path)
    monkeypatch.delenv("REPLICAS")
    monkeypatch.delenv("NGINX_PUBLIC_PORT")
    assert start(tmp_path) == start(tmp_path) == first
    assert (first.replicas, first.ports["NGINX_PUBLIC_PORT"]) == (3, 9000)


def test_the_environment_wins_over_what_is_remembered_and_arguments_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICAS", "3")
    start(tmp_path)
    monkeypatch.setenv("REPLICAS", "4")
    assert Layout.of(tmp_path).replicas == 4
    assert Layout.of(tmp_path, replicas=5).replicas == 5


def test_a_default_is_not_remembered(tmp_path: Path) -> None:
    start(tmp_path)
    told = json.loads((tmp_path / "stack.json").read_text())
    assert told["chosen"] == {}


def test_all_ports_can_be_moved_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Layout.of(tmp_path).ports
    monkeypatch.setenv("PORT_OFFSET", "1000")
    assert Layout.of(tmp_path).ports == {name: port + 1000 for name, port in before.items()}
    assert Layout.of(tmp_path, port_offset=0).ports == before
    for value in ("x", "", "-1", "99999"):
        monkeypatch.setenv("PORT_OFFSET", value)
        with pytest.raises(Failure, match=f"PORT_OFFSET={value}"):
            Layout.of(tmp_path)


@pytest.mark.parametrize("name", ["REPLICAS", "REDIS_PORT"])
@pytest.mark.parametrize("value", ["x", "", "-1", "0", "1.5", "²", "99999"])
def test_a_setting_that_is_no_number_of_its_kind_is_refused(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Failure, match=f"{name}={value}"):
        Stack(tmp_path)
