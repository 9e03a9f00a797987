"""The services' containers, seen from another one beside them: who dies, and is back.

Nobody can be killed from there, nor stopped. But whoever is told to dies by itself at its step, and Docker
starts it again.
"""

import time

import httpx

from infra.native import Failure
from lab.state import Stack, Trouble

ANSWER_S = 0.5
READY_S = 90.0
"""Docker waits the longer the more often a container has died."""

BEGAN = "process_start_time_seconds "

NOT_HERE = "among containers one can only die by itself, --mode restart."


class Containers:
    """What the native stack's supervisor and its `wait_ready` can tell, by asking the services."""

    def __init__(self, stack: Stack) -> None:
        self._addresses = stack.addresses
        self._http = httpx.Client(timeout=ANSWER_S, trust_env=False)
        self._exits: dict[str, int] = dict.fromkeys(stack.addresses, 0)
        self._seen: dict[str, str] = dict.fromkeys(stack.addresses, "")
        self.supervisor = self

    def exits(self, name: str) -> int:
        """How often it has died, as far as somebody was looking: nobody listened, or it has begun anew."""
        try:
            began = self._began(name)
        except httpx.ConnectError:
            began = ""
        except (httpx.HTTPError, ValueError):
            return self._exits[name]  # it may only be slow
        self._exits[name] += bool(self._seen[name]) and began != self._seen[name]
        self._seen[name] = began
        return self._exits[name]

    def _began(self, name: str) -> str:
        """When, as it says itself."""
        answer = self._http.get(f"http://{self._addresses[name]}/metrics").raise_for_status()
        return next(line for line in answer.text.splitlines() if line.startswith(BEGAN))

    def wait_ready(self, name: str) -> None:
        """Raises Failure when it does not come back."""
        until = time.monotonic() + READY_S
        while not self._is_ready(name):
            if time.monotonic() > until:
                raise Failure(
                    f"{name} was not back within {READY_S:.0f} s: docker compose ps, docker compose logs"
                )
            time.sleep(0.1)
        self.exits(name)

    def stop(self, *names: str) -> None:
        raise Trouble(f"Nobody here can stop {' or '.join(names)}: {NOT_HERE}")

    def start(self, name: str) -> None:
        raise Trouble(f"Nobody here can start {name}: {NOT_HERE}")

    def signal(self, name: str, signal: str) -> None:
        raise Trouble(f"Nobody here can send {signal} to {name}: {NOT_HERE}")

    def _is_ready(self, name: str) -> bool:
        try:
            return self._http.get(f"http://{self._addresses[name]}/readyz").is_success
        except httpx.TransportError:
            return False
