"""Sets the faults of processes that run with CHAOS=1, in all replicas of a role alike."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from lab.state import SERVICES, Stack, Trouble

HELD_S = 20.0

Fault = Mapping[str, Any]


def point(what: str, at: str) -> Fault:
    """`crash` or `hold`, once, at `ROLE@POINT`."""
    return {"what": what, "at": at}


class Faults:
    """Every call goes to the processes themselves: nginx does not route it."""

    def __init__(self, stack: Stack) -> None:
        self._addresses = stack.addresses
        token = {"Authorization": f"Bearer {stack.operator_token}"}
        self._http = httpx.Client(headers=token, timeout=5.0, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        """No fault stays behind, and nobody stays held."""
        self.clear()
        self._http.close()

    def put(self, role: str, *faults: Fault, only: str = "") -> None:
        """From now on these and no others, in all replicas of this role or `only` in one. Raises Trouble."""
        for name in self._replicas(role):
            if only in ("", name):
                self._call("PUT", name, {"faults": list(faults)})

    def part(self, *sides: Sequence[str]) -> None:
        """The network parts these sides. Those that are held go on, the orchestrators' last."""
        for role in SERVICES:
            self.put(role, {"what": "partition", "sides": sides})

    def clear(self) -> None:
        """No faults anywhere. A process that does not answer has none, or is gone with them."""
        for name in self._addresses:
            try:
                self._call("DELETE", name)
            except httpx.TransportError:
                continue

    def seen(self, role: str) -> dict[str, Any]:
        """What the replicas of a role say of their faults, by their names; those that answer."""
        found = {}
        for name in self._replicas(role):
            try:
                found[name] = self._call("GET", name)
            except httpx.TransportError:
                continue
        return found

    def await_held(self, at: str, within_s: float = HELD_S) -> str:
        """The transaction that is held at `ROLE@POINT`, as soon as one is. Raises Trouble."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for told in self.seen(at.partition("@")[0]).values():
                for held in told["held"]:
                    if held["at"] == at:
                        return str(held["transaction"])
            time.sleep(0.05)
        raise Trouble(f"Nothing came to {at} within {within_s:.0f} s.")

    def _replicas(self, role: str) -> list[str]:
        return [name for name in self._addresses if name.rpartition("-")[0] == role]

    def _call(self, method: str, name: str, body: Any = None) -> Any:
        url = f"http://{self._addresses[name]}/faults"
        response = self._http.request(method, url, json=body)
        if response.status_code == 404:
            raise Trouble(
                f"{name} takes no faults. Start the stack so that it does: CHAOS=1 make up, or "
                "CHAOS=1 docker compose up --wait"
            )
        if response.is_error:
            raise Trouble(f"{name} does not take this: {response.text}")
        return response.json()
