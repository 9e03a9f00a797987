"""Errors, as RFC 9457 has them."""

from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, ValidationError

from services.inventory.api import ProductImport
from services.order.api import OrderRequest
from services.payment.api import CustomerImport
from services.runtime.http import invalid
from services.runtime.problems import MEDIA_TYPE, Problem, body


def test_a_problem_has_a_type_for_programs_and_a_detail_for_people() -> None:
    assert body(409, "out-of-stock", "sku-1: 1 on hand, 2 ordered", order_id="o-1").decode() == (
        '{"type":"/problems/out-of-stock","title":"Out of stock","status":409,'
        '"detail":"sku-1: 1 on hand, 2 ordered","order_id":"o-1"}'
    )


def test_the_same_problem_is_the_same_bytes() -> None:
    """An answer that is replayed must not differ by so much as a space."""
    assert body(404, "unknown-order", "none", a=1, b=[2]) == body(404, "unknown-order", "none", a=1, b=[2])


def test_a_title_spells_initials_as_people_do() -> None:
    titles = [msgspec.json.decode(body(400, kind, ""))["title"] for kind in ("malformed-json", "unknown-sku")]
    assert titles == ["Malformed JSON", "Unknown SKU"]


@pytest.mark.parametrize(
    ("order", "where", "what"),
    [
        (
            {"customer_id": "a", "items": [{"sku": "b", "quantity": 1, "price": 1}]},
            "items.0.price",
            "left out",
        ),
        ({"customer_id": "a", "items": [{"sku": "b", "quantity": 1}] * 2}, "items", "name each product once"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_to_people(order: Any, where: str, what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        OrderRequest.model_validate(order)
    detail = msgspec.json.decode(invalid(caught.value).body)["detail"]
    assert detail.startswith(f"{where}: ") and what in detail and "error" not in detail


def test_a_detail_may_say_anything() -> None:
    detail = 'quotes " and \u2028 and \U0001f600 and \x00'
    assert msgspec.json.decode(body(400, "bad", detail))["detail"] == detail


def test_a_raised_problem_is_its_own_response() -> None:
    problem = Problem(429, "too-many-requests", "full", headers={"Retry-After": "1"}, waiting=7)
    response = problem.response()
    assert str(problem) == "full"
    assert (response.status_code, response.media_type) == (429, MEDIA_TYPE)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"
    assert msgspec.json.decode(response.body)["waiting"] == 7


@pytest.mark.parametrize(("kind", "rows"), [(CustomerImport, "customers"), (ProductImport, "products")])
def test_an_import_of_nonsense_is_given_up_at_its_first_bad_row(kind: type[BaseModel], rows: str) -> None:
    """Or its hundred thousand complaints would cost a gigabyte."""
    with pytest.raises(ValidationError) as refused:
        kind.model_validate({rows: [{}] * 1000})
    assert refused.value.error_count() < 10
