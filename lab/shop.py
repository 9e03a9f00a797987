"""The shop's API as this command calls it, for customers and operators: one method a verb, over httpx."""

import math
import secrets
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx

from lab.state import Stack, Trouble

ENDED = frozenset({"CONFIRMED", "REFUSED", "CANCELLED"})


class Answer(NamedTuple):
    code: int
    body: dict[str, Any]

    @property
    def problem(self) -> str:
        """The last part of a problem's type, such as "out-of-stock"; empty when there is none."""
        return str(self.body.get("type", "")).rpartition("/")[2]

    @property
    def order_id(self) -> str:
        return str(self.body.get("order_id", ""))

    def words(self) -> str:
        said = self.body.get("detail") or self.body.get("title") or ""
        return f"{self.code} {self.problem}: {said}"


def fresh_key(prefix: str = "cli") -> str:
    return f"{prefix}-{secrets.token_hex(12)}"


def traced() -> str:
    """A traceparent whose sampled flag asks for the order's journal."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


class Door:
    """A connection to the shop; a call that finds nobody there is `Trouble`, never a traceback."""

    def __init__(self, url: str, timeout_s: float, headers: Mapping[str, str] | None = None) -> None:
        self._url = url
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self._http.close()

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        try:
            response = self._http.request(method, path, json=body, headers=headers)
        except httpx.TransportError as error:
            raise Trouble(f"{self._url} does not answer ({error}). Is it up? make status") from None
        try:
            told = response.json()
        except ValueError:
            told = {"detail": response.text[:200]}
        return Answer(response.status_code, told if isinstance(told, dict) else {"items": told})

    def must(self, answer: Answer) -> Answer:
        """The answer, when it is a success; `Trouble` in the shop's own words when not."""
        if answer.code >= 400:
            raise Trouble(f"The shop answered {answer.words()}")
        return answer


class Shop(Door):
    """Through nginx's public port."""

    def __init__(self, stack: Stack, timeout_s: float = 60.0) -> None:
        super().__init__(stack.public_url, timeout_s)

    def order(
        self,
        customer: str,
        items: Sequence[tuple[str, int]],
        *,
        protocol: str | None = None,
        wait_s: float = 0,
        key: str | None = None,
    ) -> Answer:
        """Places an order that asks for its journal."""
        body: dict[str, Any] = {
            "customer_id": customer,
            "items": [{"sku": sku, "quantity": quantity} for sku, quantity in items],
        }
        if protocol:
            body["protocol"] = protocol
        headers = {"Idempotency-Key": f'"{key or fresh_key()}"', "traceparent": traced()}
        if wait_s > 0:
            headers["Prefer"] = f"wait={math.ceil(wait_s)}"  # whole seconds only (RFC 7240)
        return self.call("POST", "/orders", body, headers)

    def read(self, order_id: str) -> Answer:
        return self.call("GET", f"/orders/{order_id}")

    def trace(self, order_id: str) -> Answer:
        return self.call("GET", f"/orders/{order_id}/trace")

    def cancel(self, order_id: str) -> Answer:
        return self.call(
            "POST", f"/orders/{order_id}/cancel", headers={"Idempotency-Key": f'"{fresh_key()}"'}
        )

    def deposit(self, customer: str, amount: int) -> Answer:
        path, headers = f"/customers/{customer}/deposit", {"Idempotency-Key": f'"{fresh_key()}"'}
        return self.call("POST", path, {"amount": amount}, headers)


class Operator(Door):
    """Through nginx's internal port, to whichever orchestrator answers."""

    def __init__(self, stack: Stack) -> None:
        token = {"Authorization": f"Bearer {stack.operator_token}"}
        super().__init__(f"{stack.internal_url}/orchestrator", 30.0, token)

    def in_doubt(self) -> Answer:
        return self.call("GET", "/transactions?state=in-doubt&limit=1000")

    def retry(self, id: str) -> Answer:
        return self.call("POST", f"/transactions/{id}/retry")

    def resolve(self, transaction: str, outcome: str, participants: Sequence[str], reason: str) -> Answer:
        body: dict[str, Any] = {"outcome": outcome, "reason": reason}
        if participants:
            body["participants"] = list(participants)
        return self.call("POST", f"/transactions/{transaction}/resolve", body)
