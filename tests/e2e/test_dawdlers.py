"""A client that keeps many connections and hardly says a word takes them from nobody else."""

import asyncio
import resource
from contextlib import AsyncExitStack, closing
from typing import Any

import httpx
import pytest

from tests.e2e.shopper import new_customer, new_product, order

LIMIT, TOO_MANY = 5500, 5600
DAWDLER = ("127.0.0.2", 0)
BEGUN = (
    b"POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
    b'Idempotency-Key: "slow"\r\nContent-Length: 1000\r\n\r\n{'
)


@pytest.fixture
def many_files() -> Any:
    """Room for that many sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * TOO_MANY:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_who_dawdles_over_thousands_of_bodies_is_refused_and_others_are_not(
    shop: httpx.AsyncClient, stack: dict[str, Any], many_files: None
) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    port = stack["ports"]["NGINX_PUBLIC_PORT"]
    async with AsyncExitStack() as connections:
        readers = []
        for _ in range(TOO_MANY):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=DAWDLER)
            connections.enter_context(closing(writer))
            writer.write(BEGUN)
            readers.append(reader)
        head = await asyncio.wait_for(readers[-1].readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 429 "), head
        assert b"Retry-After: 1" in head
        assert b"application/problem+json" in head
        assert (await order(shop, customer, {sku: 1})).status_code == 201
    assert sum(reader.at_eof() for reader in readers) <= TOO_MANY - LIMIT
