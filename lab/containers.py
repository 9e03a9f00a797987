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


ALONE = "among containers one can only die by itself, --mode restart."


class Containers:
    """What the native stack's supervisor and its `wait_ready` can tell, by asking the services."""

    def __init__(self, stack: Stack) -> None:
        self._addresses = stack.addresses
        self._http = httpx.Client(timeout=ANSWER_S, trust_env=False)
        self._exits: dict[str, int] = dict.fromkeys(stack.addresses, 0)
        self._answers: dict[str, bool] = dict.fromkeys(stack.addresses, True)
        self.supervisor = self

    def exits(self, name: str) -> int:
        """How often it has ceased to answer, as far as somebody was looking."""
        if (answers := self._is("livez", name)) != self._answers[name]:
            self._answers[name] = answers
            self._exits[name] += not answers
        return self._exits[name]

    def wait_ready(self, name: str) -> None:
        """Raises Failure when it does not come back."""
        until = time.monotonic() + READY_S
        while not self._is("readyz", name):
            if time.monotonic() > until:
                raise Failure(
                    f"{name} was not back within {READY_S:.0f} s: docker compose ps, docker compose logs"
                )
            time.sleep(0.1)
        self.exits(name)

    def stop(self, *names: str) -> None:
        raise Trouble(f"Nobody here can stop {' or '.join(names)}: {ALONE}")

    def start(self, name: str) -> None:
        raise Trouble(f"Nobody here can start {name}: {ALONE}")

    def signal(self, name: str, signal: str) -> None:
        raise Trouble(f"Nobody here can send {signal} to {name}: {ALONE}")

    def _is(self, what: str, name: str) -> bool:
        try:
            return self._http.get(f"http://{self._addresses[name]}/{what}").is_success
        except httpx.TransportError:
            return False
