"""Customers who order one thing after another and wait for the outcome; how many, Locust's page says."""

import os
import random
import uuid

from locust import FastHttpUser, between, task

PROTOCOLS = os.environ["PROTOCOLS"].split()
PRODUCTS, CUSTOMERS = 1_000, 10_000
"""Those that `tradeoff seed` makes."""


class Customer(FastHttpUser):
    """A refusal is an answer; that the shop is full, and that nothing is known yet, are counted apart."""

    wait_time = between(0.0, 1.0)
    network_timeout = 70.0

    @task
    def order(self):
        protocol = random.choice(PROTOCOLS)
        body = {
            "customer_id": f"customer-{random.randint(1, CUSTOMERS):06d}",
            "items": [{"sku": f"sku-{random.randint(1, PRODUCTS):06d}", "quantity": 1}],
            "protocol": protocol,
        }
        headers = {"Idempotency-Key": f'"{uuid.uuid4()}"', "Prefer": "wait=30"}
        name = f"order by {protocol}"
        with self.client.post(
            "/orders", json=body, headers=headers, name=name, catch_response=True
        ) as answer:
            if answer.status_code in (201, 409):
                answer.success()
            else:
                answer.failure(f"{answer.status_code}")
