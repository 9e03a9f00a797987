"""Customers who look around, order by a mix of protocols, ask how their orders stand, and change their minds;
and now and then a delivery.

A refusal is an answer. So is 429: whoever hears it comes again when he was told to, with the same key.
A 5xx is a failure, and so is an order of which nobody knows what becomes of it.
"""

import os
import random
import time
import uuid
from http import HTTPStatus

import gevent
from locust import FastHttpUser, between, task

PROTOCOLS = os.environ.get("PROTOCOLS", "saga 2pc 2pc-group 3pc").split()
PRODUCTS, CUSTOMERS = 1_000, 10_000
"""Those that `tradeoff seed` makes."""

REMEMBERED = 20
LONGEST_S = 70.0
"""Longer than that, and an order counts as unresolved. The shop itself turns back after sixty seconds."""


class Customer(FastHttpUser):
    wait_time = between(0.0, 1.0)
    network_timeout = 70.0

    def on_start(self):
        self.name = f"customer-{random.randint(1, CUSTOMERS):06d}"
        self.confirmed = []

    @task(10)
    def browse(self):
        self.client.get("/products?limit=20", name="/products")
        self.client.get(f"/products/{some_sku()}", name="/products/[sku]")

    @task(10)
    def order(self):
        protocol = random.choice(PROTOCOLS)
        items = [
            {"sku": sku, "quantity": 1} for sku in {some_sku() for _ in range(random.choice((1, 1, 1, 2, 3)))}
        ]
        order_id = self.post(
            "/orders",
            f"order by {protocol}",
            {"customer_id": self.name, "items": items, "protocol": protocol},
            ends=("CONFIRMED", "REFUSED"),
        )
        if order_id:
            self.confirmed = [*self.confirmed, order_id][-REMEMBERED:]

    @task(5)
    def look_up(self):
        if self.confirmed:
            self.client.get(f"/orders/{random.choice(self.confirmed)}", name="/orders/[id]")

    @task(1)
    def cancel(self):
        if self.confirmed:
            order_id = self.confirmed.pop(random.randrange(len(self.confirmed)))
            self.post(f"/orders/{order_id}/cancel", "cancel", {}, ends=("CANCELLED",))

    @task(1)
    def restock(self):
        self.post(f"/products/{some_sku()}/restock", "restock", {"quantity": 10})

    def post(self, path, name, body, ends=()):
        """Until it is answered. Returns the id of an order that ended in the first of `ends`."""
        headers = {"Idempotency-Key": f'"{uuid.uuid4()}"', "Prefer": "wait=30"}
        while True:
            with self.client.post(path, json=body, headers=headers, name=name, catch_response=True) as answer:
                code = answer.status_code
                if code == HTTPStatus.TOO_MANY_REQUESTS:
                    answer.request_meta["name"] = f"{name}: come again later"
                    answer.success()
                elif code == HTTPStatus.CONFLICT:
                    return answer.success()
                elif code == HTTPStatus.ACCEPTED:
                    return self.ended(answer, ends)
                elif not code:
                    return answer.failure("no answer")
                elif code < HTTPStatus.BAD_REQUEST:
                    answer.success()
                    return answer.json().get("order_id")
                else:
                    return answer.failure(f"{code}")
            gevent.sleep(float(answer.headers.get("Retry-After", "1")) * random.uniform(1.0, 2.0))

    def ended(self, answer, ends):
        """Asks until the order has ended, or for as long as anybody would."""
        order_id, deadline = answer.json()["order_id"], time.monotonic() + LONGEST_S
        while time.monotonic() < deadline:
            asked = self.client.get(f"/orders/{order_id}", name="/orders/[id], waiting for its end")
            status = asked.json()["status"] if asked.status_code == HTTPStatus.OK else ""
            if status in ends:
                answer.success()
                return order_id if status == ends[0] else None
            gevent.sleep(0.25)
        return answer.failure(f"{order_id} is unresolved")


def some_sku():
    return f"sku-{random.randint(1, PRODUCTS):06d}"
