"""What /openapi.json tells of each service."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from orchestrator.api import TransactionRoutes
from services.inventory.api import ProductRoutes
from services.order.api import OrderRoutes
from services.payment.api import CustomerRoutes
from services.runtime.http import create_app
from services.runtime.problems import MEDIA_TYPE

NOTHING = cast(Any, None)
ROUTES: dict[str, Any] = {
    "order": OrderRoutes("order-1", *[NOTHING] * 5),
    "payment": CustomerRoutes(NOTHING),
    "inventory": ProductRoutes("inventory-1", NOTHING, NOTHING),
    "orchestrator": TransactionRoutes(NOTHING, NOTHING, NOTHING, "token"),
}


def document(service: str) -> dict[str, Any]:
    app = create_app(service, "", NOTHING)
    ROUTES[service].add_to(app)
    return app.openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == "$ref")
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from references(value)


@pytest.mark.parametrize("service", ROUTES)
def test_every_reference_leads_somewhere(service: str) -> None:
    told = document(service)
    for reference in references(told):
        found = told
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]


@pytest.mark.parametrize("service", ROUTES)
def test_every_refusal_is_a_problem(service: str) -> None:
    for _, operation in operations(document(service)):
        for status, response in operation["responses"].items():
            assert status < "400" or set(response["content"]) == {MEDIA_TYPE}


@pytest.mark.parametrize("service", ROUTES)
def test_every_operation_has_a_summary_of_more_than_its_name(service: str) -> None:
    assert [
        name for name, operation in operations(document(service)) if " " not in operation["summary"]
    ] == []


def test_an_order_can_be_placed_from_what_is_told() -> None:
    told = document("order")
    place = told["paths"]["/orders"]["post"]
    keys = [p for p in place["parameters"] if p["name"] == "Idempotency-Key"]
    assert [key["required"] for key in keys] == [True]
    assert {"201", "202", "400", "409", "422", "429"} <= set(place["responses"])
    schemas = told["components"]["schemas"]
    assert schemas["OrderRequest"]["properties"]["customer_id"]["examples"] == ["alice"]
    assert schemas["OrderItem"]["properties"]["sku"]["examples"] == ["teapot"]


@pytest.mark.parametrize(
    ("service", "path"),
    [("payment", "/customers/{customer_id}/deposit"), ("inventory", "/products/{sku}/restock")],
)
def test_a_key_that_is_needed_is_told_once_and_as_required(service: str, path: str) -> None:
    parameters = document(service)["paths"][path]["post"]["parameters"]
    found = [p["required"] for p in parameters if p["name"].lower() == "idempotency-key"]
    assert found == [True]


def test_an_operators_route_wants_a_token() -> None:
    for name, operation in operations(document("orchestrator")):
        assert ("/transactions" in name) == ("401" in operation["responses"]) == ("security" in operation)
