"""The `tradeoff` command on the running stack, as programs use it: its exit codes, and what --json prints."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from infra.native import Stack
from tests.e2e.shopper import new_customer, new_product, stock_of


async def tradeoff(native: Stack, *arguments: str) -> tuple[int, Any]:
    """The exit code, and the JSON; if there is none, what it complained of."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "lab.cli", *arguments, "--json"],
        env=os.environ | {"TRADEOFF_STATE": str(native.layout.state)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else " ".join(done.stderr.split())


async def test_the_exit_code_of_an_order_says_what_became_of_it(
    native: Stack, shop: httpx.AsyncClient
) -> None:
    sku, customer = await new_product(shop, stock=1, price=700), await new_customer(shop, balance=9000)
    buys = ("order", "--customer", customer, "--item", f"{sku}=1", "--protocol", "2pc")
    code, told = await tradeoff(native, *buys, "--key", f"once-{sku}")
    assert (code, told["outcome"], told["http_status"]) == (0, "confirmed", 201)
    assert told["answer"]["amount"] == 700
    assert await tradeoff(native, *buys, "--key", f"once-{sku}") == (code, told)
    assert await stock_of(shop, sku) == (0, 0, 1)

    code, refused = await tradeoff(native, *buys)
    assert (code, refused["outcome"], refused["http_status"]) == (3, "refused", 409)
    assert refused["answer"]["type"] == "/problems/out-of-stock"
    code, running = await tradeoff(native, *buys, "--wait", "0")
    assert (code, running["outcome"], running["http_status"]) == (4, "running", 202)
    code, complaint = await tradeoff(native, "order", "--customer", customer, "--item", f"{sku}=0")
    assert code == 2 and "The shop answered 422" in complaint

    code, trace = await tradeoff(native, "trace", told["order_id"])
    assert code == 0 and "ended: committed" in {entry["what"] for entry in trace["entries"]}
    code, complaint = await tradeoff(native, "retry", told["order_id"])
    assert code == 2 and "this order has no transaction that runs" in complaint


async def test_the_audit_tells_of_each_promise(native: Stack) -> None:
    code, told = await tradeoff(native, "audit")
    assert (code, told["violations"]) == (0, 0), told
    assert len(told["checks"]) == 10
    assert all(check["violations"] == 0 and check["examples"] == [] for check in told["checks"])


async def test_what_nobody_knows_cannot_be_resolved(native: Stack) -> None:
    code, told = await tradeoff(native, "doubt")
    assert code == 0 and {"transactions", "in_doubt", "silent"} <= set(told)
    unknown = "0190a000-0000-7000-8000-000000000003"
    words = ("--outcome", "abort", "--reason", "why not")
    code, complaint = await tradeoff(native, "resolve", unknown, *words)
    assert code == 2 and "no transaction of this id is known, or in doubt" in complaint


async def test_a_file_that_is_no_history_is_no_verdict(native: Stack, tmp_path: Path) -> None:
    code, complaint = await tradeoff(native, "audit", "--history", str(tmp_path / "none"))
    assert code == 2 and "cannot be read" in complaint
