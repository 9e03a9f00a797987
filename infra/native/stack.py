"""One stack, from nothing to ready and back to nothing."""

import fcntl
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.native import configuration, credentials, jobs, orphans, parts, ports, probes
from infra.native.failures import Failure, StartFailed
from infra.native.layout import Layout, default_state
from infra.native.parts import Part
from infra.native.screen import tail
from infra.native.supervisor import Supervisor, until

READY_S = 60.0
"""More than the slowest start on a busy machine; a part that cannot start is noticed sooner."""

HOPELESS_EXITS = 4
"""A part that ended by itself so often during one start will not come up. Once or twice is normal: Postgres
after a kill waits for its old processes to be gone."""

PASSED_ON = ("JOURNAL_SAMPLE", "COORDINATOR_SILENCE_S", "CHAOS")
"""Of what was chosen, to the services."""


class Stack:
    """Arguments left out come from the environment, the last start and infra/ports.env, in this order."""

    def __init__(
        self,
        state: Path | None = None,
        port_offset: int | None = None,
        replicas: int | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        layout: Layout | None = None,
    ) -> None:
        self.layout = layout or Layout.of(state, port_offset, replicas)
        self.supervisor = Supervisor(self.layout)
        chosen = self.layout.chosen
        passed_on = {name: chosen[name] for name in PASSED_ON if name in chosen}
        self._environment = passed_on | dict(environment or {})

    @classmethod
    def existing(cls, state: Path | None = None) -> "Stack":
        """The stack as it was last started, to be looked at or taken down."""
        return cls(layout=Layout.of_existing(state))

    @property
    def told(self) -> dict[str, Any]:
        """What stack.json tells."""
        told: dict[str, Any] = json.loads(self.layout.stack_json.read_text(encoding="utf-8"))
        return told

    def parts(self) -> list[Part]:
        """What the stack consists of."""
        return parts.of(self.layout, credentials.load(self.layout.credentials), self._environment)

    def _write(self, secrets: Mapping[str, str]) -> None:
        """All that is on disk before anything starts: settings of the servers, stack.json."""
        self.layout.create()
        for files in configuration.of(self.layout, secrets).values():
            configuration.write(self.layout, files)
        configuration.describe(self.layout, secrets)

    def up(self, only: str = "all") -> list[Part]:
        """Returns the parts of the stack, each of them ready (`only="servers"`: the servers alone). What runs
        already is left alone, unless its settings have changed. Raises Failure before anything is
        started when a port is taken, and StartFailed when a part or a job fails."""
        self.layout.claim()
        with self._alone():
            if not self.supervisor.is_alive():
                orphans.end(self.layout)
                self._forget_the_lost()
            secrets = credentials.load_or_create(self.layout.credentials)
            all_parts = self.parts()
            wanted = [part for part in all_parts if only == "all" or not part.is_service]
            self._refuse_taken_ports(wanted)
            self._write(secrets)
            self.supervisor.configure(all_parts)
            if self.supervisor.is_alive():
                self.supervisor.update()
            else:
                self.supervisor.launch()
            starting = [part for part in wanted if part.name not in self._running()]
            self._start(wanted, starting)
            return wanted

    def _forget_the_lost(self) -> None:
        """Somebody deleted the state directory by hand: what Postgres kept outside of it opens to no password
        that is known, and belongs to no Kafka that still is."""
        if not self.layout.credentials.exists() and self.layout.postgres_data != self.layout.data:
            shutil.rmtree(self.layout.postgres_data, ignore_errors=True)

    def _refuse_taken_ports(self, wanted: Sequence[Part]) -> None:
        """What would start needs its ports; those of our own that would stop for it do not count."""
        running = self._running()
        staying = running & self.supervisor.as_configured(wanted)
        before = Stack.existing(self.layout.state).parts() if running else []
        freed = {port for part in before if part.name in running - staying for port in part.ports.values()}
        needed = {
            name: port for part in wanted if part.name not in staying for name, port in part.ports.items()
        }
        if taken := ports.taken({name: port for name, port in needed.items() if port not in freed}):
            raise Failure("\n".join(["Nothing was started or stopped, because", *taken]))

    def down(self) -> None:
        """Returns when no process of the stack is left; the data stays."""
        if not self.layout.credentials.exists():
            return
        with self._alone():
            states = self.supervisor.states()
            orphans.resume(state["pid"] for state in states.values())
            if parts.WATCHDOG in states:  # first: it starts things
                self.supervisor.stop(parts.WATCHDOG)
            servers = [name for name in states if "-" not in name or name.startswith("pg-")]
            self.supervisor.stop(*(name for name in states if name not in servers))
            if "nginx" in states:  # after the services: customers who wait get their answers through it
                self.supervisor.stop("nginx")
            self.supervisor.stop(*servers)
            if states:
                self.supervisor.shut_down()
            orphans.end(self.layout)
            if self.layout.socket.parent != self.layout.run:
                shutil.rmtree(self.layout.socket.parent, ignore_errors=True)

    def clean(self) -> None:
        """`down`, and no file is left either; of the clone's own state, not even what was installed."""
        is_ours = self.layout.credentials.exists()
        self.down()
        if self.layout.postgres_data != self.layout.data:
            shutil.rmtree(self.layout.postgres_data, ignore_errors=True)
        if self.layout.state == default_state():
            shutil.rmtree(self.layout.state, ignore_errors=True)
            return
        if not is_ours:
            raise Failure(f"{self.layout.state} has no stack: nothing was deleted.")
        for directory in (self.layout.config, self.layout.logs, self.layout.run, self.layout.data):
            shutil.rmtree(directory, ignore_errors=True)
        for file in (self.layout.stack_json, self.layout.credentials, self.layout.lock):
            file.unlink(missing_ok=True)
        if not any(self.layout.state.iterdir()):
            self.layout.state.rmdir()

    def wait_ready(self, *names: str) -> None:
        """Until each of these parts answers, or, without names, every part."""
        chosen = [part for part in self.parts() if not names or part.name in names]
        given_up = threading.Event()
        _each(lambda part: self._wait(part, given_up), chosen, given_up)

    def _start(self, wanted: Sequence[Part], starting: Sequence[Part]) -> None:
        """All servers side by side, each with its job behind it, and then all services side by side."""
        services = [part for part in wanted if part.is_service]
        with_jobs = any(part.is_service for part in starting)
        given_up = threading.Event()

        def bring_up(part: Part) -> None:
            if part in starting:
                part.prepare()
                self.supervisor.start(part.name)
            self._wait(part, given_up)
            if part.job and with_jobs:
                jobs.run(part.job, self.layout)

        _each(bring_up, [part for part in wanted if not part.is_service], given_up)
        _each(bring_up, services, given_up)
        if services:
            self._wait_for_the_shop()

    def _wait(self, part: Part, given_up: threading.Event) -> None:
        exits = self.supervisor.exits(part.name)

        def is_settled() -> bool:
            if given_up.is_set():
                raise _Abandoned(part.name)
            if self.supervisor.exits(part.name) - exits >= HOPELESS_EXITS:
                raise self._failed(part, "ended again and again")
            return part.is_ready()

        if not until(is_settled, READY_S, every_s=0.1):
            raise self._failed(part, f"was not ready within {READY_S:.0f} seconds")

    def _wait_for_the_shop(self) -> None:
        """Through nginx, which had looked at its replicas before they were there."""
        port = self.layout.ports["NGINX_PUBLIC_PORT"]
        if not until(lambda: probes.http_ok(port, "/readyz"), READY_S, every_s=0.1):
            raise StartFailed(
                f"nginx does not reach the order service.\n{tail(self.layout.logs / 'nginx.log')}"
            )

    def _failed(self, part: Part, how: str) -> StartFailed:
        log = self.layout.logs / f"{part.name}.log"
        return StartFailed(f"{part.name} {how}. The end of {log}:\n{tail(log)}")

    def _running(self) -> set[str]:
        states = self.supervisor.states().values()
        return {state["name"] for state in states if state["statename"] in ("RUNNING", "STARTING")}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands on the same stack take turns."""
        self.layout.state.mkdir(parents=True, exist_ok=True)
        with open(self.layout.lock, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class _Abandoned(Failure):
    """Waited for in vain, because something else failed."""


def _each(action: Callable[[Part], None], chosen: Sequence[Part], given_up: threading.Event) -> None:
    """All at once; when one fails the others give up, and what is raised is its failure."""

    def attempt(part: Part) -> None:
        try:
            action(part)
        except BaseException:
            given_up.set()
            raise

    with ThreadPoolExecutor(max(len(chosen), 1)) as pool:
        attempts = [pool.submit(attempt, part) for part in chosen]
        try:
            wait(attempts)
        except BaseException:
            given_up.set()
            raise
    failures = [failure for done in attempts if (failure := done.exception())]
    for failure in sorted(failures, key=lambda failure: isinstance(failure, _Abandoned)):
        raise failure
