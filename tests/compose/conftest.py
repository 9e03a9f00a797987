"""The whole shop in containers, once for all tests here; taken down to the last volume at the end."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.compose.project import Project, docker


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """A line for whoever reads the log, also when all is well."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            pytestconfig.get_terminal_writer().line(f"\n  {text}")

    return line


@pytest.fixture(scope="session")
def project(say: Callable[[str], None]) -> Iterator[Project]:
    found = Project()
    volumes = set(docker("volume", "ls", "--quiet").split())
    try:
        began = time.monotonic()
        found.up("--build")
        say(f"the shop took orders after {time.monotonic() - began:.0f} s")
        yield found
    finally:
        found.down()
        assert found.left() == {}
        assert set(docker("volume", "ls", "--quiet").split()) <= volumes, "an image's volume was left"


@pytest.fixture
async def shop(project: Project) -> Any:
    async with httpx.AsyncClient(base_url=project.url, timeout=40, trust_env=False) as client:
        yield client
