"""Locust's customers against the running shop, and an audit when they have gone."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from infra.native.python_packages import LOCUST
from lab import prepare
from lab.audit import view
from lab.audit.run import audit_stack
from lab.options import VIOLATED
from lab.screen import out
from lab.state import Stack, Trouble
from lab.workload import PROTOCOLS

LOCUSTFILE = Path(__file__).resolve().parents[1] / "infra/load/locustfile.py"
PAGE_PORT = 8089


@dataclass(frozen=True, slots=True)
class Crowd:
    users: int
    spawn_rate: float
    """How many more of them each second."""

    run_time: str | None
    """As Locust reads it: 60s, 5m, 1h30m. None: until Ctrl-C."""

    headless: bool
    protocols: Sequence[str]


def chosen(protocols: str) -> list[str]:
    """Raises Trouble."""
    names = protocols.replace(",", " ").split()
    if not names or set(names) - set(PROTOCOLS):
        raise Trouble(f"--protocols is some of: {' '.join(PROTOCOLS)}")
    return names


def load(stack: Stack, crowd: Crowd) -> int:
    """The exit code: that of Locust, which is not 0 if a request failed, or VIOLATED. Raises Trouble."""
    locust = LOCUST / "bin" / "locust"
    if not locust.exists():
        raise Trouble(
            "Locust is not installed: `make load` does it; in containers: docker compose --profile load up"
        )
    prepare.seed_missing(stack)
    if not crowd.headless:
        out.print(f"Locust's page: http://127.0.0.1:{PAGE_PORT}  (Ctrl-C ends it, and then comes the audit)")
    code = _until_it_ends([str(locust), *_arguments(stack, crowd)], crowd.protocols)
    report = uvloop.run(audit_stack(stack, 30.0))
    view.show(report)
    return VIOLATED if report.violations else code


def _arguments(stack: Stack, crowd: Crowd) -> list[str]:
    given = {
        "locustfile": str(LOCUSTFILE),
        "host": stack.public_url,
        "users": str(crowd.users),
        "spawn-rate": f"{crowd.spawn_rate:g}",
        "loglevel": "WARNING",
        "stop-timeout": "110",  # longer than one waits for an answer, and then for the order's end
    }
    flags = ["--headless", "--only-summary"]
    page = ["--autostart", "--web-host=127.0.0.1", f"--web-port={PAGE_PORT}"]
    return [
        *(f"--{name}={value}" for name, value in given.items()),
        *([f"--run-time={crowd.run_time}"] if crowd.run_time else []),
        *(flags if crowd.headless else page),
    ]


def _until_it_ends(command: Sequence[str], protocols: Sequence[str]) -> int:
    """Ctrl-C reaches Locust, too: it lets its customers finish, and says what it has seen."""
    with subprocess.Popen(command, env={**os.environ, "PROTOCOLS": " ".join(protocols)}) as running:
        while True:
            try:
                return running.wait()
            except KeyboardInterrupt:
                continue
