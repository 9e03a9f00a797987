"""Installs Debian packages and leaves no server behind that was not running before. Run by root, alone:

    python3 infra/native/apt.py PACKAGE…        (`a|b`: the first of them that there is)

Installing a server normally starts it, and enables it, and creates a database cluster for Postgres. Two
files forbid that while apt works (policy-rc.d, createcluster.conf); both are put back as they were, also
when the installation fails, and at the next run if this one was killed.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")
CREATE_CLUSTER = Path("/etc/postgresql-common/createcluster.conf")
UNITS = {"postgresql": "postgresql", "redis-server": "redis-server", "nginx": "nginx"}
MARK = "# Put here by tradeoff while it installs packages; it is removed again.\n"
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "LC_ALL": "C.UTF-8"}
APT = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0")


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, env={**os.environ, **QUIET})


def install(*packages: str) -> None:
    run(*APT, "install", "--yes", "--no-install-recommends", *packages)


@contextmanager
def replaced(path: Path, text: str, mode: int) -> Iterator[None]:
    """The file says `text` within the block, and afterwards what it said before, or is gone again."""
    saved = path.with_name(path.name + ".before-tradeoff")
    put_back(path, saved)
    if path.exists():
        path.rename(saved)
    try:
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        yield
    finally:
        put_back(path, saved)


def put_back(path: Path, saved: Path) -> None:
    if path.exists() and MARK in path.read_text(encoding="utf-8", errors="replace"):
        path.unlink()
    if saved.exists():
        saved.rename(path)


def install_postgres() -> None:
    """The common part first: it brings the file that decides whether a cluster is created."""
    install("postgresql-common")
    own = CREATE_CLUSTER.read_text(encoding="utf-8") if CREATE_CLUSTER.exists() else ""
    with replaced(CREATE_CLUSTER, f"{MARK}{own}\ncreate_main_cluster = false\n", 0o644):
        install("postgresql")


def first_available(alternatives: str) -> str:
    names = alternatives.split("|")
    for name in names:
        shown = subprocess.run(["apt-cache", "show", name], capture_output=True, check=False)
        if shown.returncode == 0 and shown.stdout:
            return name
    sys.exit(f"none of these packages is available: {', '.join(names)}")


def main(wanted: list[str]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that files are put back
    with replaced(POLICY, f"#!/bin/sh\n{MARK}exit 101\n", 0o755):
        run(*APT, "update")
        packages = [first_available(alternatives) for alternatives in wanted]
        if "postgresql" in packages:
            install_postgres()
        if others := [package for package in packages if package != "postgresql"]:
            install(*others)
    if Path("/run/systemd/system").exists():
        for package in packages:
            if package in UNITS:
                run("systemctl", "disable", "--quiet", UNITS[package])


if __name__ == "__main__":
    main(sys.argv[1:])
