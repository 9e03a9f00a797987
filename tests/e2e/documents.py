"""What the services' own OpenAPI documents say can be sent: one good request for each operation, and each
place in it where a text could be."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Where = tuple[str | int, ...]
"""`("path", NAME)`, `("query", NAME)`, `("header", NAME)`, or `("body", …)` and the way to a member of it."""

EVERYWHERE = ("X-Request-Id", "traceparent")
"""Headers that are read or passed on, whatever the request is: the first that changes something has them."""


@dataclass(frozen=True)
class Operation:
    service: str
    method: str
    path: str
    parts: dict[str, dict[str, Any]]
    """By "path", "query" and "header", what is sent in each; all of it is good."""

    body: Any

    @property
    def name(self) -> str:
        return f"{self.method} /{self.service}{self.path}"

    def texts(self) -> Iterator[Where]:
        """Every place, whatever its type: a number is a text until somebody has looked."""
        for part, values in self.parts.items():
            for name in values:
                yield part, name
        if self.body is not None:
            yield from _leaves(self.body, ("body",))

    def replaced(self, where: Where, value: Any) -> "Operation":
        whole = {**deepcopy(self.parts), "body": deepcopy(self.body)}
        holder: Any = whole
        for step in where[:-1]:
            holder = holder[step]
        holder[where[-1]] = value
        return Operation(self.service, self.method, self.path, whole, whole.pop("body"))


def operations(service: str, document: dict[str, Any], known: Mapping[str, str]) -> Iterator[Operation]:
    """`known`: what is sent for parameters and members of these names, instead of an example."""
    tried = False
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            if "health" in told["tags"]:
                continue
            parts: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
            for parameter in told.get("parameters", []):
                name, kind = parameter["name"], parameter["in"]
                value = parameter.get("example") or good(parameter["schema"], document, known)
                parts[kind][name] = known.get(name, value)
            if method == "post" and not tried:
                tried = True
                parts["header"] |= dict.fromkeys(EVERYWHERE, "good") | {
                    "Authorization": known["Authorization"]
                }
            content = told.get("requestBody", {}).get("content", {}).get("application/json")
            body = good(content["schema"], document, known) if content else None
            yield Operation(service, method.upper(), path, parts, body)


def good(schema: dict[str, Any], document: dict[str, Any], known: Mapping[str, str]) -> Any:
    """A value that the schema allows: its first example, or made of its parts'."""
    if reference := schema.get("$ref"):
        return good(document["components"]["schemas"][reference.rpartition("/")[2]], document, known)
    if examples := schema.get("examples"):
        return examples[0]
    for choice in ("default", "const"):
        if choice in schema:
            return schema[choice]
    if any_of := schema.get("anyOf"):
        return good(any_of[0], document, known)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            members = schema["properties"].items()
            return {name: known.get(name) or good(member, document, known) for name, member in members}
        case "array":
            return [good(schema["items"], document, known)]
        case "integer":
            return schema.get("minimum", 1)
    return "good"


def _leaves(value: Any, where: Where) -> Iterator[Where]:
    inside: Sequence[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    else:
        yield where
    for step, member in inside:
        yield from _leaves(member, (*where, step))
