"""Who has the running stack to himself."""

from pathlib import Path

import pytest

from lab.stacks import to_oneself
from lab.state import Trouble


def test_one_comparison_at_a_time_has_the_running_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEOFF_STATE", str(tmp_path))
    with to_oneself(), pytest.raises(Trouble, match="Another comparison"), to_oneself():
        pass
    with to_oneself():
        pass
