"""Creates the data of one Postgres server: its owner's login and database, and the login of the audit.

All of it happens before the server's first start (initdb, then Postgres in single-user mode), in a directory
that gets its real name at the very end: what exists under that name is complete.
"""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from infra.native import machine
from infra.native.failures import Failure
from infra.native.layout import REPO

ROLES = REPO / "infra" / "postgres" / "roles.sql"
"""For every way of running, with psql's variables."""

SERVER_USER = "postgres"
"""Postgres refuses to run as root."""


def user() -> str | None:
    """Who runs the servers: None is whoever started the stack."""
    return SERVER_USER if os.geteuid() == 0 else None


def programs(data: Path) -> Path:
    """Those of the version that made the data; for new data, the newest."""
    version = data / "PG_VERSION"
    found = machine.postgres_programs(int(version.read_text("ascii")) if version.exists() else None)
    if found is None:
        wanted = version.read_text("ascii").strip() if version.exists() else f">= {machine.OLDEST_POSTGRES}"
        raise Failure(f"No PostgreSQL {wanted} for {data}. Install it, or start afresh with: make clean")
    return found


def create(data: Path, service: str, passwords: Mapping[str, str]) -> None:
    """Does nothing when the data is there. `passwords`: those of postgres, of the owner, of the audit."""
    if data.exists():
        return
    fresh = data.with_name(data.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    _give(fresh)
    _initdb(fresh, passwords["postgres"])
    for database, statements in _statements(service, passwords).items():
        _execute(fresh, database, statements)
    fresh.rename(data)


def _initdb(data: Path, password: str) -> None:
    file = data.with_name(data.name + ".password")
    file.touch(mode=0o600)
    _give(file)
    file.write_text(password, encoding="ascii")
    try:
        _run(
            [
                str(programs(data) / "initdb"),
                f"--pgdata={data}",
                "--username=postgres",
                f"--pwfile={file}",
                "--auth=scram-sha-256",
                "--data-checksums",
                "--encoding=UTF8",
                "--locale=C",
            ]
        )
    finally:
        file.unlink()


def _statements(service: str, passwords: Mapping[str, str]) -> dict[str, list[str]]:
    """By the database in which to execute them, in order; one line each, as single-user mode wants it."""
    values = {**passwords, "service": service}
    text = re.sub(
        r""":(["'])(\w+)\1""", lambda found: found[1] + values[found[2]] + found[1], ROLES.read_text()
    )
    first, _, then = text.partition(f'\\connect "{service}"\n')
    return {
        database: [line for line in part.splitlines() if line and not line.startswith("--")]
        for database, part in (("postgres", first), (service, then))
    }


def _execute(data: Path, database: str, statements: list[str]) -> None:
    command = [
        str(programs(data) / "postgres"),
        "--single",
        "-D",
        str(data),
        "-c",
        "exit_on_error=on",
        database,
    ]
    _run(command, "".join(f"{statement}\n" for statement in statements))


def _run(command: list[str], given: str = "") -> None:
    name = user()
    done = subprocess.run(
        command,
        input=given,
        text=True,
        capture_output=True,
        check=False,
        cwd="/",
        umask=0o077,
        user=name,
        group=name,
        extra_groups=None if name is None else [],
    )
    if done.returncode != 0:
        raise Failure(f"{Path(command[0]).name} failed:\n{(done.stdout + done.stderr).strip()[-2000:]}")


def _give(path: Path) -> None:
    if (name := user()) is not None:
        account = pwd.getpwnam(name)
        os.chown(path, account.pw_uid, account.pw_gid)
