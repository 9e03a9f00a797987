"""The seams themselves: who may set faults, which, and that each of them is met."""

import asyncio
from collections import Counter
from functools import partial

import httpx
import pytest

from infra.native import Stack
from lab.faults import Fault, Faults
from lab.state import Stack as Told
from services.chaos.points import NAMES, POINTS
from tests.e2e.shopper import balance_of, eventually, new_customer, new_product, order, status_of, stock_of

ROLES = tuple(POINTS)


def url(told: Told, name: str) -> str:
    return f"http://127.0.0.1:{told.ports[name]}/faults"


async def test_without_the_setting_nothing_of_it_is_there(
    native: Stack, told: Told, inside: httpx.AsyncClient
) -> None:
    answers = [await inside.get(url(told, name)) for name in told.ports]
    assert [answer.status_code for answer in answers] == [404] * len(told.ports)


async def test_faults_are_an_operators_and_nginx_does_not_know_them(
    faults: Faults, told: Told, inside: httpx.AsyncClient, shop: httpx.AsyncClient
) -> None:
    for role in ROLES:
        anybody = await shop.delete(url(told, f"{role}-1"))
        assert (anybody.status_code, anybody.json()["type"]) == (401, "/problems/operator-only")
        assert (await inside.get(url(told, f"{role}-1"))).status_code == 200
        for path in (f"/{role}/faults", f"/{role}/./faults", f"/{role}/%66aults", f"//{role}//faults"):
            assert (await inside.get(path)).status_code == 404
    assert (await shop.get("/faults")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "malformed-json"),
        (b"[]", 422, "invalid-request"),
        (b'{"faults": [{"what": "explode"}]}', 422, "invalid-request"),
        (b'{"faults": [{"what": "crash"}]}', 422, "invalid-request"),
        (b'{"faults": [{"what": "crash", "at": "before-work"}]}', 422, "unknown-point"),
        (b'{"faults": [{"what": "hold", "at": "payment@before-work"}]}', 422, "unknown-point"),
        (b'{"faults": [{"what": "hold", "at": "order@before-work", "times": 0}]}', 422, "invalid-request"),
        (b'{"faults": [{"what": "delay", "to": "order", "seconds": 61}]}', 422, "invalid-request"),
        (b'{"faults": [{"what": "drop-answer", "to": "order", "verb": "pray"}]}', 422, "invalid-request"),
        (b'{"faults": [{"what": "partition", "sides": [["order"]]}]}', 422, "invalid-request"),
        (b'{"faults": [{"what": "slow", "at": "order@before-work", "share": 0}]}', 422, "invalid-request"),
        (b'{"faults": [{"what": "drop-message", "message": "order.charge"}]}', 422, "unknown-point"),
    ],
)
async def test_what_is_no_fault_is_refused_and_changes_nothing(
    faults: Faults, told: Told, inside: httpx.AsyncClient, body: bytes, status: int, kind: str
) -> None:
    faults.put("order", {"what": "delay", "to": "inventory", "verb": "abort"})
    headers = {"Content-Type": "application/json"}
    answer = await inside.put(url(told, "order-1"), content=body, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert [fault["what"] for fault in faults.seen("order")["order-1"]["faults"]] == ["delay"]


def reached(faults: Faults) -> Counter[str]:
    return Counter(
        {
            f"{role}@{point}": sum(told["reached"][point] for told in faults.seen(role).values())
            for role in ROLES
            for point in POINTS[role]
        }
    )


async def test_every_point_is_reached(faults: Faults, shop: httpx.AsyncClient) -> None:
    """An order that is confirmed, two that are refused, and one that is cancelled, by 3PC and as sagas, come
    to all of them, if the order service never hears the first prepare. Again, if a race hides one."""
    sku, rich, poor = (
        await new_product(shop, stock=500),
        await new_customer(shop),
        await new_customer(shop, balance=1),
    )

    async def missing() -> set[str]:
        faults.put("orchestrator", {"what": "drop-request", "to": "order", "verb": "prepare"})
        for protocol in ("3pc", "saga"):
            placed = [(rich, 1), (rich, 1000), (poor, 1), (rich, 1)]
            buyers = [order(shop, who, {sku: count}, protocol=protocol) for who, count in placed]
            answers = await asyncio.gather(*buyers)
            assert sorted(a.status_code for a in answers) == [201, 201, 409, 409]
            [order_id, *_] = [a.json()["order_id"] for a in answers if a.status_code == 201]
            assert (await shop.post(f"/orders/{order_id}/cancel")).status_code == 202
            await eventually(partial(status_of, shop, order_id), "CANCELLED")
        return set(NAMES) - {name for name, times in reached(faults).items() if times}

    await eventually(missing, set())


CALL_FAULTS: list[Fault] = [
    {"what": what, "to": to, "verb": verb, "times": 1, **more}
    for what, more in (
        ("drop-request", {}),
        ("drop-answer", {}),
        ("duplicate", {}),
        ("delay", {"seconds": 1.5}),
    )
    for to, verb in (("payment", "prepare"), ("inventory", "pre-commit"), ("order", "commit"))
]


async def running(inside: httpx.AsyncClient, order_id: str) -> list[bool]:
    told = (await inside.get(f"/orchestrator/transactions/{order_id}")).json()
    return [transaction["running"] for transaction in told["transactions"]]


@pytest.mark.parametrize("fault", CALL_FAULTS, ids=lambda f: f"{f['what']}-{f['verb']}-{f['to']}")
async def test_a_call_that_goes_astray_changes_no_outcome(
    faults: Faults, shop: httpx.AsyncClient, inside: httpx.AsyncClient, fault: Fault
) -> None:
    sku, customer = await new_product(shop, stock=5, price=700), await new_customer(shop, balance=1000)
    faults.put("orchestrator", fault)
    answer = await order(shop, customer, {sku: 1}, protocol="3pc")
    assert (answer.status_code, answer.json()["status"]) == (201, "CONFIRMED")
    await eventually(partial(stock_of, shop, sku), (4, 0, 1))
    await eventually(partial(balance_of, shop, customer), 300)
    await eventually(
        partial(running, inside, answer.json()["order_id"]), [False]
    )  # or the next fault meets it
    assert sum(told["faults"][0]["met"] for told in faults.seen("orchestrator").values()) == 1


SAGA_MESSAGES = (
    ("order", "order.confirm"),
    ("inventory", "order.hold"),
    ("payment", "order.charge"),
    ("payment", "order.refund"),
    ("orchestrator", "order.hold"),
    ("orchestrator", "order.ship"),
    ("orchestrator", "order.refund"),
    ("orchestrator", "order.reject"),
)


@pytest.mark.parametrize("what", ["drop-message", "duplicate-message", "delay-message"])
@pytest.mark.parametrize(("role", "message"), SAGA_MESSAGES)
async def test_a_message_of_a_saga_that_goes_astray_changes_no_outcome(
    faults: Faults, shop: httpx.AsyncClient, role: str, message: str, what: str
) -> None:
    """Of two orders for the last piece one is confirmed, and of the other all is undone."""
    sku, customer = await new_product(shop, stock=1, price=700), await new_customer(shop, balance=2000)
    faults.put(role, {"what": what, "message": message})
    answers = await asyncio.gather(*(order(shop, customer, {sku: 1}) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    await eventually(partial(stock_of, shop, sku), (0, 0, 1))
    await eventually(partial(balance_of, shop, customer), 1300)
    assert [told["faults"][0]["met"] for told in faults.seen(role).values() if told["faults"][0]["met"]]


async def test_a_start_is_never_lost(faults: Faults, shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    faults.put("order", {"what": "drop-message", "times": None})
    order_id = (await order(shop, customer, {sku: 1}, wait=0)).json()["order_id"]
    await eventually(partial(balance_of, shop, customer), 9_500)
    assert await status_of(shop, order_id) in ("PENDING", "CONFIRMED")


async def test_who_is_slow_is_waited_for(faults: Faults, shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    for protocol, point in (("saga", "before-save:order.hold"), ("2pc", "before-commit")):
        faults.put("inventory", {"what": "slow", "at": f"inventory@{point}", "seconds": 0.7, "times": None})
        answer = await order(shop, customer, {sku: 1}, protocol=protocol)
        assert answer.status_code == 201
        met = [told["faults"][0]["met"] for told in faults.seen("inventory").values()]
        assert sum(met) == 1


async def test_who_is_held_goes_on_when_let_go(faults: Faults, shop: httpx.AsyncClient) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    faults.put("orchestrator", {"what": "hold", "at": "orchestrator@after-force:committing"})
    order_id = (await order(shop, customer, {sku: 1}, wait=0, protocol="2pc")).json()["order_id"]
    await asyncio.to_thread(faults.await_held, "orchestrator@after-force:committing")
    assert await status_of(shop, order_id) == "PENDING"
    faults.clear()
    await eventually(partial(status_of, shop, order_id), "CONFIRMED")


async def test_a_process_that_is_to_crash_dies_there_and_comes_back(
    chaotic: Stack, faults: Faults, shop: httpx.AsyncClient
) -> None:
    sku, customer = await new_product(shop), await new_customer(shop)
    names = ("payment-1", "payment-2")
    before = {name: chaotic.supervisor.exits(name) for name in names}
    faults.put("payment", {"what": "crash", "at": "payment@before-commit"})
    answer = await order(shop, customer, {sku: 1}, protocol="2pc")

    assert (answer.status_code, answer.json()["status"]) == (201, "CONFIRMED")

    async def somebody_died() -> bool:
        return any(chaotic.supervisor.exits(name) > before[name] for name in names)

    await eventually(somebody_died, True)
    await asyncio.to_thread(chaotic.wait_ready, *names)
    await eventually(partial(balance_of, shop, customer), 9_500)
