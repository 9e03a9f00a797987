"""Errors as RFC 9457 problem+json: what happened, in a `type` for programs and a `detail` for people."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"

INITIALS = {"json": "JSON", "sku": "SKU"}
TEXTS = ("type", "title", "detail")
SCHEMA = {
    "title": "Problem",
    "type": "object",
    "required": ["status", *TEXTS],
    "properties": {"status": {"type": "integer"}} | {name: {"type": "string"} for name in TEXTS},
}


class Problem(Exception):
    """Raised anywhere below a route, answered as it says. `kind` becomes `/problems/<kind>`."""

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.body = body(status, kind, detail, **members)
        self.headers = dict(headers or {})

    def response(self) -> Response:
        return Response(self.body, self.status, self.headers, media_type=MEDIA_TYPE)


def body(status: int, kind: str, detail: str, **members: Any) -> bytes:
    """The document itself; `members` are the extension members of RFC 9457 §3.2."""
    title = kind.replace("-", " ").capitalize()
    return msgspec.json.encode(
        {
            "type": f"/problems/{kind}",
            "title": " ".join(INITIALS.get(word, word) for word in title.split()),
            "status": status,
            "detail": detail,
            **members,
        }
    )


def documented(*answers: tuple[int, str, str]) -> dict[int | str, dict[str, Any]]:
    """The same in OpenAPI, as `responses` of a route: each (status, kind, detail) is an example."""
    found: dict[int | str, dict[str, Any]] = {}
    for status, kind, detail in answers:
        content: dict[str, Any] = {"schema": SCHEMA, "examples": {}}
        response = found.setdefault(status, {"description": "", "content": {MEDIA_TYPE: content}})
        example = msgspec.json.decode(body(status, kind, detail))
        response["content"][MEDIA_TYPE]["examples"][kind] = {"value": example}
        response["description"] += (", " if response["description"] else "") + example["title"]
    return found
