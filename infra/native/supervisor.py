"""The supervisor of one stack: supervisord, its configuration, and a client on its unix socket.

Nothing starts by itself when supervisord does; `Stack.up` starts the parts in order. From then on a part
that dies is started again, for ever, at intervals that grow by a second.
"""

import http.client
import resource
import shlex
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.native.failures import Failure
from infra.native.layout import Layout, write_private
from infra.native.parts import Part
from infra.native.python_packages import VENV

ALREADY_STARTED, NOT_RUNNING = 60, 70
"""supervisord's fault codes."""

OURS = "TRADEOFF_STATE"
"""In the environment of every part: whose it is, should its supervisor be gone."""

MOST_FILES = 20_000


class Supervisor:
    """Every call is a connection of its own, so that threads may share this."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._file = layout.config / "supervisord.conf"
        self._log = layout.logs / "supervisord.log"

    def is_alive(self) -> bool:
        try:
            self._call("getPID")
        except OSError:
            return False
        return True

    def launch(self) -> None:
        """Returns when it listens. Its configuration must have been written."""
        command = [str(VENV / "bin" / "supervisord"), "-c", str(self._file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0 or not until(self.is_alive, 10):
            raise Failure(f"supervisord did not start:\n{(done.stdout + done.stderr).strip()}")

    def configure(self, parts: Sequence[Part]) -> None:
        write_private(self._file, _configuration(self._layout, parts))

    def as_configured(self, parts: Sequence[Part]) -> set[str]:
        """Which of them `configure` wrote exactly so the last time: `update` would leave them alone."""
        written = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
        return {part.name for part in parts if _program(self._layout, part) in written}

    def update(self) -> None:
        """Makes a running supervisor know what `configure` wrote; parts that differ are stopped."""
        [(added, changed, removed)] = self._call("reloadConfig")
        for name in (*changed, *removed):
            self.stop(name)
            self._call("removeProcessGroup", name)
        for name in (*added, *changed):
            self._call("addProcessGroup", name)

    def states(self) -> dict[str, dict[str, Any]]:
        """Of every part: statename, pid, start, now and more that supervisord knows; none when it is down."""
        try:
            return {process["name"]: process for process in self._call("getAllProcessInfo")}
        except OSError:
            return {}

    def pid(self, part: str) -> int:
        """0 while it does not run."""
        return int(self._call("getProcessInfo", part)["pid"])

    def start(self, part: str) -> None:
        self._call_unless(ALREADY_STARTED, "startProcess", part, False)

    def stop(self, *parts: str) -> None:
        """Returns when all of them are gone."""
        for part in parts:
            self._call_unless(NOT_RUNNING, "stopProcess", part, False)
        for part in parts:
            until(lambda part=part: self.pid(part) == 0, 60)  # type: ignore[misc]

    def restart(self, part: str) -> None:
        self.stop(part)
        self.start(part)

    def signal(self, part: str, name: str) -> None:
        """KILL, STOP, CONT, …; to the part's own process."""
        self._call("signalProcess", part, name)

    def exits(self, part: str) -> int:
        """How often it ended without being told to, since this supervisor started."""
        if not self._log.exists():
            return 0
        session = self._log.read_text(encoding="utf-8", errors="replace").rpartition("supervisord started")[2]
        return session.count(f" exited: {part} ")

    def shut_down(self) -> None:
        """Returns when supervisord has ended, and with it what it still ran."""
        pid = int(self._call("getPID"))
        self._call("shutdown")
        until(lambda: not Path(f"/proc/{pid}").exists(), 60)

    def _call(self, method: str, *arguments: Any) -> Any:
        proxy = xmlrpc.client.ServerProxy("http://supervisor", transport=_UnixTransport(self._layout.socket))
        with proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def _call_unless(self, harmless: int, method: str, *arguments: Any) -> None:
        try:
            self._call(method, *arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != harmless:
                raise


def until(condition: Callable[[], bool], seconds: float, every_s: float = 0.02) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("supervisor", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(30)
        try:
            connection.sock.connect(str(self._path))
        except OSError:
            connection.close()
            raise
        self._connection = host, connection  # so that closing the proxy closes it
        return connection


def _configuration(layout: Layout, parts: Sequence[Part]) -> str:
    user = "user=root\n" if any(part.user for part in parts) else ""
    return f"""[supervisord]
{user}directory={_plain(layout.state)}
logfile={_plain(layout.logs)}/supervisord.log
pidfile={_plain(layout.run)}/supervisord.pid
childlogdir={_plain(layout.logs)}
logfile_maxbytes=10MB
logfile_backups=1
loglevel=info
umask=077
minfds={_most_files()}

[unix_http_server]
file={_plain(layout.socket)}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{_plain(layout.socket)}

{"".join(_program(layout, part) for part in parts)}"""


def _program(layout: Layout, part: Part) -> str:
    environment = {**part.environment, OURS: str(layout.state)}
    user = f"user={part.user}\n" if part.user else ""
    return f"""[program:{part.name}]
command={_plain(shlex.join(part.command))}
directory={_plain(part.directory)}
{user}environment={_pairs(environment)}
autostart=false
autorestart=true
startsecs=1
startretries=1000000
stopsignal={part.stop_signal}
stopwaitsecs={part.stop_s}
killasgroup=true
stdout_logfile={_plain(layout.logs)}/{part.name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=1
redirect_stderr=true

"""


def _plain(value: object) -> str:
    """supervisord expands %(names)s everywhere."""
    return str(value).replace("%", "%%")


def _pairs(environment: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_plain(value)}"' for name, value in environment.items())


def _most_files() -> int:
    """What supervisord asks for, for itself and the parts; more than it may have would end it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
