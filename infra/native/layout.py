"""Where one stack has its files and its ports. Two stacks with different states and ports never meet."""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.native.failures import Failure

REPO = Path(__file__).resolve().parents[2]
SERVICES = ("order", "payment", "inventory", "orchestrator")
MOST_REPLICAS = 9
"""Ports of replicas are the service's port + 1 … 9; the next service's begin at + 10."""

REPLICAS, OFFSET = "REPLICAS", "PORT_OFFSET"
MOST_OFFSET = 50_000
OTHERS = ("OPERATOR_ROUTES", "REQUESTS_PER_S", "JOURNAL_SAMPLE", "COORDINATOR_SILENCE_S", "CHAOS")
"""Settings beside the ports."""

LONGEST_SOCKET = 90
"""A unix socket's path has at most 107 bytes, and supervisord first binds it with its pid appended."""


@dataclass(frozen=True)
class Layout:
    state: Path
    ports: Mapping[str, int]
    replicas: int

    chosen: Mapping[str, str] = field(default_factory=dict)
    """What was set for this stack, now or before. A default is not remembered: it may change."""

    @classmethod
    def of(
        cls, state: Path | None = None, port_offset: int | None = None, replicas: int | None = None
    ) -> "Layout":
        """What the arguments, else the environment, else the last start, else the defaults say."""
        directory, defaults = state_directory(state), _default_ports()
        names = (*defaults, REPLICAS, OFFSET, *OTHERS)
        given = {name: os.environ[name] for name in names if name in os.environ}
        arguments = {OFFSET: port_offset, REPLICAS: replicas}
        given |= {name: str(value) for name, value in arguments.items() if value is not None}
        chosen = {**read_json(directory / "stack.json").get("chosen", {}), **given}
        offset = _number(OFFSET, chosen.get(OFFSET, "0"), 0, MOST_OFFSET)
        ports = {name: _port(name, chosen.get(name, value)) + offset for name, value in defaults.items()}
        replicas = _number(REPLICAS, chosen.get(REPLICAS, "2"), 1, MOST_REPLICAS)
        return cls(directory, ports, replicas, chosen)

    @classmethod
    def of_existing(cls, state: Path | None = None) -> "Layout":
        """The layout with which the stack in this state was last started, whatever the settings say now."""
        directory = state_directory(state)
        told = read_json(directory / "stack.json")
        if not told:
            return cls.of(directory)
        return cls(directory, told["ports"], told["replicas"], told.get("chosen", {}))

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def data(self) -> Path:
        return self.state / "data"

    @property
    def stack_json(self) -> Path:
        return self.state / "stack.json"

    @property
    def credentials(self) -> Path:
        """The first file of a stack and the last: where it is, the directory is a stack's own."""
        return self.state / "credentials.json"

    @property
    def lock(self) -> Path:
        return self.state / "lock"

    @property
    def watchdog(self) -> Path:
        """Touched at each of the watchdog's rounds."""
        return self.run / "watchdog"

    @property
    def mark(self) -> str:
        """Tells this stack from any other on the machine, in names outside of its own directory."""
        return hashlib.sha256(os.fsencode(self.state)).hexdigest()[:12]

    @property
    def socket(self) -> Path:
        """The supervisor's. A deep state directory has its socket in a short place of its own."""
        near = self.run / "supervisor.sock"
        if len(os.fsencode(near)) <= LONGEST_SOCKET:
            return near
        return Path(f"/tmp/tradeoff-{self.mark}") / "supervisor.sock"

    @property
    def postgres_data(self) -> Path:
        """Started by root, Postgres runs as `postgres`, who may not be able to get at the state directory
        (a clone below /root): then its data, and only that, is kept where it can."""
        if os.geteuid() != 0 or _open_to_all(self.state):
            return self.data
        return Path(f"/var/lib/tradeoff-{self.mark}")

    def claim(self) -> None:
        """Refuses a directory with somebody else's files: `clean` would delete what it finds there."""
        if self.credentials.exists() or self.state == default_state():
            return
        if others := {path.name for path in self.state.glob("*")} - {self.lock.name}:
            raise Failure(f"{self.state} is not empty ({min(others)}): choose another directory.")

    def create(self) -> None:
        """Makes the directories. Those on the way to Postgres's data may be passed through by all."""
        for directory in (self.config, self.logs, self.run):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o700)
        for directory in {self.data, self.postgres_data}:
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o711)
        if self.socket.parent != self.run:
            self.socket.parent.mkdir(mode=0o700, exist_ok=True)
            owner = self.socket.parent.lstat()
            if owner.st_uid != os.geteuid() or not stat.S_ISDIR(owner.st_mode):
                raise Failure(f"{self.socket.parent} belongs to somebody else: choose a shorter --state.")


def state_directory(chosen: Path | None = None) -> Path:
    return Path(chosen or os.environ.get("TRADEOFF_STATE") or default_state()).resolve()


def default_state() -> Path:
    return REPO / ".tradeoff"


def read_json(path: Path) -> dict[str, Any]:
    """An absent file reads as nothing."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Replaces the file in one step; at no time can anybody read it whom `mode` does not let."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)  # whatever the umask
    fresh.replace(path)


def _default_ports() -> dict[str, str]:
    lines = (REPO / "infra" / "ports.env").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name: value for name, equals, value in pairs if equals}


def _port(name: str, value: str) -> int:
    if not value.strip().isdecimal() or not 0 < int(value) < 65536:
        raise Failure(f"{name}={value} (infra/ports.env or the environment) is not a port.")
    return int(value)


def _number(name: str, value: str, least: int, most: int) -> int:
    if not value.strip().isdecimal() or not least <= int(value) <= most:
        raise Failure(f"{name}={value} is not a number from {least} to {most}.")
    return int(value)


def _open_to_all(directory: Path) -> bool:
    """Whether any user can pass through to what is below this directory."""
    existing = [path for path in (directory, *directory.parents) if path.exists()]
    return all(path.stat().st_mode & stat.S_IXOTH for path in existing)
