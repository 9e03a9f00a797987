"""What docker-compose.yml and its secrets job say, as far as that can be read without Docker."""

import json
import re
from pathlib import Path

import pytest

from infra.compose import credentials
from infra.native.configuration import HASTE
from infra.native.credentials import NAMES
from infra.native.layout import SERVICES, Layout
from lab.state import parse
from services.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
KNOWN = {name: f"secret-of-{name}" for name in NAMES}


def test_every_setting_is_documented_with_its_default() -> None:
    used = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", COMPOSE))
    documented = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert documented == used


def test_what_both_ways_of_running_can_be_set_to_has_the_same_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NGINX_PUBLIC_PORT", raising=False)
    used = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", COMPOSE))
    layout = Layout.of(tmp_path)
    assert int(used["NGINX_PUBLIC_PORT"]) == layout.ports["NGINX_PUBLIC_PORT"]
    assert int(used["REPLICAS"]) == layout.replicas
    assert used["REQUESTS_PER_S"] == HASTE


def test_a_service_finds_all_its_settings() -> None:
    for service in SERVICES:
        [of_compose] = re.findall(r"environment: &environment\n((?:    .*\n)+?)  tmpfs", COMPOSE)
        given = re.findall(r"^    ([A-Z_]+):", of_compose, re.MULTILINE)
        secret = credentials.folders(KNOWN)[service]["environment"]
        given += re.findall(r"^([A-Z_]+)='", secret, re.MULTILINE)
        assert {*given, "PROCESS_NAME"} == {name.upper() for name in Settings.__dataclass_fields__}


def test_each_folder_holds_what_its_container_needs_and_no_more() -> None:
    told = {
        folder: {name for name in NAMES if KNOWN[name] in " ".join(files.values())}
        for folder, files in credentials.folders(KNOWN).items()
    }
    tokens = {"redis", "operator-token", "participant-token"}
    assert told.pop("tools") == set(NAMES) - {"postgres"}
    assert told.pop("redis") == {"redis"}
    for service in SERVICES:
        assert told.pop(service) == {f"{service}-owner", *tokens}
        assert told.pop(f"postgres-{service}") == {"postgres", f"{service}-owner", f"{service}-audit"}
    assert told == {}


def test_secrets_are_made_once(tmp_path: Path) -> None:
    credentials.main(tmp_path)
    before = {file: file.read_text() for file in tmp_path.rglob("*") if file.is_file()}
    credentials.main(tmp_path)
    assert before == {file: file.read_text() for file in tmp_path.rglob("*") if file.is_file()}
    stack = parse(json.loads((tmp_path / "tools" / "stack.json").read_text()))
    assert set(stack.databases) == set(SERVICES) and not stack.ports
    assert (tmp_path / "credentials.json").stat().st_mode & 0o077 == 0
