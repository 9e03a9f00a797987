"""The orders of a benchmark: who buys what, as ready-made requests, decided before the clock starts."""

import random
import secrets
import time
from collections import Counter
from typing import NamedTuple, get_args
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from lab.client import Answer, Judge, Verdict
from lab.seed import customer, sku
from lab.state import Stack
from lab.stats import draw
from services.contract.commit import Protocol

SAGA = "saga"
PROTOCOLS = (SAGA, *get_args(Protocol))

PRODUCTS = 1_000
CUSTOMERS = 10_000
NOTHING = range(999_900, 999_910)
"""Ranks of products of which nothing is left, and of customers who have no money."""

BUSY = (429, 502, 503, 504)


def from_now_on() -> UUID:
    """Less than the id of any order that is placed later: they are UUIDs of version 7."""
    return UUID(int=(time.time_ns() // 1_000_000) << 80)


def address(stack: Stack) -> tuple[str, int]:
    parts = urlsplit(stack.public_url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def post(stack: Stack, path: str, body: bytes, headers: str) -> bytes:
    """A request as it goes over the wire."""
    host, port = address(stack)
    head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Asked(NamedTuple):
    """What one request asked for, and under which key."""

    key: str
    customer: str
    items: dict[str, int]
    protocol: str


class Orders:
    """`count` orders of one piece each; ranks are drawn from the seeded names, skewed or not.

    Every request is the same length, so it is a template with three holes: key, customer, sku.
    """

    def __init__(
        self,
        stack: Stack,
        protocol: str,
        count: int,
        *,
        skew: float,
        products: int = PRODUCTS,
        wait_s: int,
        seed: int,
        hopeless: float = 0.0,
    ) -> None:
        """`hopeless`: the share of orders that will be refused, for want of stock or of money by turns."""
        rng = random.Random(seed)
        self.count, self.protocol = count, protocol
        self.goods = draw(rng, products, skew, count)
        self.people = draw(rng, CUSTOMERS, skew, count)
        for turn, n in enumerate(sorted(rng.sample(range(count), round(hopeless * count)))):
            (self.goods, self.people)[turn % 2][n] = rng.choice(NOTHING)
        self.running: dict[int, str] = {}  # the ids of orders that the shop was still working on
        self.complaint = ""  # the first answer that should not have been
        self.run = secrets.token_hex(6)
        items = [{"sku": sku(0), "quantity": 1}]
        body = msgspec.json.encode({"customer_id": customer(0), "items": items, "protocol": protocol})
        prefer = f"Prefer: wait={wait_s}\r\n" if wait_s else ""
        headers = f'{prefer}Idempotency-Key: "bench-{self.run}-KEY00000"\r\n'
        whole = post(stack, "/orders", body, headers).replace(b"%", b"%%")
        for hole, digits in (
            (b"KEY00000", b"%08d"),
            (customer(0).encode(), b"customer-%06d"),
            (sku(0).encode(), b"sku-%06d"),
        ):
            whole = whole.replace(hole, digits)
        self._template = whole

    def request(self, n: int) -> bytes:
        return self._template % (n, self.people[n] + 1, self.goods[n] + 1)

    def asked(self, n: int) -> Asked:
        items = {sku(self.goods[n] + 1): 1}
        return Asked(f"bench-{self.run}-{n:08d}", customer(self.people[n] + 1), items, self.protocol)

    def judge(self, n: int, answer: Answer) -> Verdict:
        if answer.status == 201:
            return Verdict.CONFIRMED
        if answer.status == 202:
            self.running[n] = str(msgspec.json.decode(answer.body)["order_id"])
            return Verdict.RUNNING
        if answer.status in BUSY or (answer.status == 409 and b"request-in-progress" in answer.body):
            return Verdict.AGAIN
        if answer.status == 409:
            return Verdict.REFUSED
        self.complaint = self.complaint or f"{answer.status} {answer.body[:300].decode(errors='replace')}"
        return Verdict.FAILED

    def pieces(self) -> Counter[str]:
        """How many of each product the orders need."""
        wanted = Counter(rank for rank in self.goods if rank not in NOTHING)
        return Counter({sku(rank + 1): count for rank, count in wanted.items()})

    def spending(self, prices: dict[str, int]) -> Counter[str]:
        """How much each customer needs."""
        spent: Counter[str] = Counter()
        for person, good in zip(self.people, self.goods, strict=True):
            if person in NOTHING or good in NOTHING:
                continue
            spent[customer(person + 1)] += prices[sku(good + 1)]
        return spent


def accepted() -> Judge:
    """For requests of which nothing is asked but that they succeed."""

    def judge(_: int, answer: Answer) -> Verdict:
        if answer.status in BUSY or answer.status == 409:
            return Verdict.AGAIN
        return Verdict.CONFIRMED if answer.status < 300 else Verdict.FAILED

    return judge
