"""What Kafka's installation finds in its place."""

from pathlib import Path

import pytest

from infra.native import kafka
from infra.native.failures import Failure


def test_a_link_in_its_place_is_left_alone_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "elsewhere" / "file"
    precious.parent.mkdir()
    precious.write_text("mine")
    home = tmp_path / "kafka"
    home.symlink_to(precious.parent)
    monkeypatch.setattr(kafka, "HOME", home)
    monkeypatch.setattr(kafka, "STAMP", home / "installed.json")
    with pytest.raises(Failure, match="symbolic link"):
        kafka.install()
    assert precious.read_text() == "mine"
