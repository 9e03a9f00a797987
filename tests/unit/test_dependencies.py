"""What we take from others: exactly these versions and bytes, under a licence that lets anybody use it.

Whether somebody has found a hole in one of them, only a network could tell.
"""

import re
import tomllib
from importlib.metadata import Distribution, distributions

import pytest

from tests.unit.test_house_rules import ROOT

FILES = ("requirements.txt", "requirements-dev.txt", "infra/load/requirements.txt")
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;]+)(?: ; [^\\]+)?((?: --hash=sha256:[0-9a-f]{64})+)")

ALLOWED = re.compile(r"apache|mit\b|bsd|psf|python software foundation|isc\b|mpl|mozilla", re.IGNORECASE)
"""MPL asks for the source of its own files only, and we change none of them."""

NOT_ALLOWED = re.compile(r"\b[al]?gpl|gnu|sspl|commons clause|proprietary|non-?commercial", re.IGNORECASE)


def pins(file: str) -> dict[str, str]:
    """The version of each package; fails at a line that is no pin with its hashes."""
    text = re.sub(r"\s*\\\n\s*", " ", (ROOT / file).read_text())
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            pin = PIN.fullmatch(line)
            assert pin, f"{file}: {line[:100]} is not NAME==VERSION with sha256 hashes"
            found[canonical(pin[1])] = pin[2]
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def licence_of(package: Distribution) -> str:
    """All that it says of it."""
    told = package.metadata
    classifiers = [c for c in told.get_all("Classifier") or [] if c.startswith("License ::")]
    words = [text.strip().partition("\n")[0] for text in told.get_all("License") or []]
    return "; ".join([*(told.get_all("License-Expression") or []), *words, *classifiers])


@pytest.mark.parametrize("file", FILES)
def test_every_package_is_pinned_by_version_and_hash(file: str) -> None:
    assert len(pins(file)) > 20


@pytest.mark.parametrize(
    "line",
    [
        "httpx>=0.28 --hash=sha256:" + "0" * 64,
        "httpx==0.28.1",
        "httpx==0.28.1 --hash=md5:" + "0" * 32,
        "httpx @ https://somewhere/httpx.whl --hash=sha256:" + "0" * 64,
        "--find-links https://somewhere/packages",
        "-e .",
        "git+https://somewhere/httpx.git",
    ],
)
def test_what_is_not_pinned_is_seen(line: str) -> None:
    assert not PIN.fullmatch(line)


def test_development_has_what_the_shop_runs_with() -> None:
    run, dev = pins("requirements.txt"), pins("requirements-dev.txt")
    assert {name: dev.get(name) for name in run} == run


def test_what_we_ask_for_is_pinned() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = {
        "requirements.txt": told["project"]["dependencies"],
        "requirements-dev.txt": told["dependency-groups"]["dev"],
        "infra/load/requirements.txt": told["dependency-groups"]["load"],
    }
    for file, wanted in groups.items():
        names = {canonical(re.split(r"[^A-Za-z0-9._-]", name)[0]) for name in wanted}
        assert names - set(pins(file)) == set()


def test_what_is_installed_is_what_is_pinned() -> None:
    """But for pip, which came with Python and installed the rest."""
    dev = pins("requirements-dev.txt")
    installed = {canonical(package.name): package.version for package in distributions()}
    installed.pop("pip", None)
    assert {name: version for name, version in installed.items() if dev.get(name) != version} == {}


def test_every_licence_lets_anybody_use_it() -> None:
    told = {package.name: licence_of(package) for package in distributions()}
    assert {n: text for n, text in told.items() if not ALLOWED.search(text) or NOT_ALLOWED.search(text)} == {}


def test_kafka_and_what_it_logs_with_are_pinned() -> None:
    dependencies = re.findall(
        r"<dependency>.*?</dependency>", (ROOT / "infra/kafka/pom.xml").read_text(), re.DOTALL
    )
    assert len(dependencies) >= 2
    assert [d for d in dependencies if not re.search(r"<version>\d+(\.\d+)+</version>", d)] == []
