"""Errors as RFC 9457 problem+json: what happened, in a `type` for programs and a `detail` for people."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


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
    return msgspec.json.encode(
        {
            "type": f"/problems/{kind}",
            "title": kind.replace("-", " ").capitalize(),
            "status": status,
            "detail": detail,
            **members,
        }
    )
