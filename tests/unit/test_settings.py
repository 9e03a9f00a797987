"""What a process is told by its environment."""

import pytest

from services.runtime.settings import Settings

TOLD = {name.upper(): f"a-{name}" for name in Settings.__dataclass_fields__} | {
    "HTTP_PORT": "8111",
    "JOURNAL_SAMPLE": "0.25",
    "COORDINATOR_SILENCE_S": "3",
    "CHAOS": "0",
}


def test_every_setting_is_told_and_numbers_are_numbers() -> None:
    settings = Settings.from_environment(TOLD)
    assert settings.process_name == "a-process_name"
    assert (settings.http_port, settings.journal_sample) == (8111, 0.25)
    assert not settings.chaos
    assert Settings.from_environment({**TOLD, "CHAOS": "1"}).chaos


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SystemExit, match="DATABASE_URL, JOURNAL_SAMPLE"):
        Settings.from_environment({**TOLD, "DATABASE_URL": "", "JOURNAL_SAMPLE": ""})
