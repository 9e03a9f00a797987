"""What this machine has: where the programs of the servers are, and what is missing."""

import functools
import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

from infra.native.failures import Failure

OLDEST_JAVA = 17
OLDEST_POSTGRES = 14
"""The first with `pg_read_all_data`, the login of the audit."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
"""An ordinary user's PATH on Debian lacks the directories where servers are."""


def find(program: str) -> Path:
    """The program's path, or a Failure that says how to get it."""
    found = shutil.which(program, path=SEARCHED)
    if found is None:
        raise Failure(f"{program} is not installed. Run: make up (it installs what is missing)")
    return Path(found)


@functools.cache
def postgres_programs(version: int | None = None) -> Path | None:
    """The directory of the server's programs of this major version, else of the newest."""
    candidates = {int(p.parent.name): p for p in Path("/usr/lib/postgresql").glob("*/bin") if _is_server(p)}
    if not candidates and (initdb := shutil.which("initdb", path=SEARCHED)):
        return Path(initdb).resolve().parent
    return candidates.get(version or max(candidates, default=0))


def _is_server(programs: Path) -> bool:
    version = programs.parent.name
    return version.isdigit() and int(version) >= OLDEST_POSTGRES and (programs / "initdb").exists()


@functools.cache
def java() -> Path | None:
    """A Java that is new enough, found without starting any: each tells its version in a file."""
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    if on_path := shutil.which("java", path=SEARCHED):
        homes.append(Path(on_path).resolve().parents[1])
    homes.extend(sorted(Path("/usr/lib/jvm").glob("*"), reverse=True))
    return next((home / "bin" / "java" for home in homes if _java_version(home) >= OLDEST_JAVA), None)


def _java_version(home: Path) -> int:
    release = home / "release"
    if not (home / "bin" / "java").exists() or not release.exists():
        return 0
    stated = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(encoding="utf-8"), re.MULTILINE)
    return int(stated[1]) if stated else 0


def missing_for_servers(*, kafka_is_there: bool) -> list[str]:
    """Debian packages to install, `a|b` meaning the first that there is."""
    needed = []
    if postgres_programs() is None:
        needed.append("postgresql")
    if not shutil.which("redis-server", path=SEARCHED):
        needed.append("redis-server")
    if not shutil.which("nginx", path=SEARCHED):
        needed.append("nginx")
    if java() is None:
        needed.append("openjdk-21-jre-headless|openjdk-17-jre-headless|openjdk-25-jre-headless")
    if not kafka_is_there and not shutil.which("mvn", path=SEARCHED):
        needed.append("maven")
    return needed


def missing_for_python(*, venv_is_there: bool) -> list[str]:
    """Debian's own Python comes without the part that fills a virtual environment."""
    if venv_is_there or importlib.util.find_spec("ensurepip"):
        return []
    return [f"python3.{sys.version_info.minor}-venv"]


def missing_for_pages() -> list[str]:
    """A browser, in which the tests look at what the shop draws."""
    return [] if any(map(shutil.which, BROWSERS)) else ["chromium"]


def false_clock() -> Path | None:
    """What a process is preloaded with so that its wall clock can be put wrong."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def missing_for_clocks() -> list[str]:
    """For the tests in which clocks jump."""
    return [] if false_clock() else ["libfaketime"]


def is_debian_like() -> bool:
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    names = f"{told.get('ID', '')} {told.get('ID_LIKE', '')}".replace('"', "").split()
    return bool({"debian", "ubuntu"} & set(names))
