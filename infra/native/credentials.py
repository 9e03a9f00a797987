"""Passwords and tokens: made at the first start of a stack, kept in a file that only its owner can read."""

import json
import secrets
from pathlib import Path

from infra.native.layout import SERVICES, read_json, write_private

NAMES = (
    "postgres",
    *(f"{service}-owner" for service in SERVICES),
    *(f"{service}-audit" for service in SERVICES),
    "redis",
    "operator-token",
    "participant-token",
)


def load(path: Path) -> dict[str, str]:
    known: dict[str, str] = read_json(path)
    return known


def load_or_create(path: Path) -> dict[str, str]:
    """Never changes one that exists: the databases were created with it."""
    known = load(path)
    fresh = {name: secrets.token_urlsafe(24) for name in NAMES if name not in known}
    if fresh:
        write_private(path, json.dumps(known | fresh, indent=1))
    return known | fresh
