"""The secrets job: `python -m infra.compose.credentials DIRECTORY` makes what is not there yet.

Safe to repeat. There is a folder for each kind of container, which gets to see no other. Its files are
readable for all, because the users inside of the images differ, and each sees only what is mounted for it.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.native.credentials import load_or_create
from infra.native.layout import SERVICES, write_private

PUBLIC, INTERNAL = "http://nginx:8080", "http://nginx:8081"
KAFKA = "kafka:9092"

Files = dict[str, str]


def folders(known: Mapping[str, str]) -> dict[str, Files]:
    """For each kind of container, its files and what they say."""
    redis = {"password": known["redis"], "redis.conf": f"requirepass {known['redis']}\n"}
    databases = {f"postgres-{service}": _of_postgres(service, known) for service in SERVICES}
    services = {service: {"environment": _environment(service, known)} for service in SERVICES}
    return {
        **databases,
        **services,
        "redis": redis,
        "tools": {"stack.json": json.dumps(_stack(known), indent=1)},
    }


def _of_postgres(service: str, known: Mapping[str, str]) -> Files:
    return {
        "postgres": known["postgres"],
        "owner": known[f"{service}-owner"],
        "audit": known[f"{service}-audit"],
    }


def _environment(service: str, known: Mapping[str, str]) -> str:
    """For a shell to read; there is nothing in a token that it would take for its own."""
    values = {
        "DATABASE_URL": _database_url(service, known),
        "REDIS_URL": _redis_url(known),
        "OPERATOR_TOKEN": known["operator-token"],
        "PARTICIPANT_TOKEN": known["participant-token"],
    }
    return "".join(f"{name}='{value}'\n" for name, value in values.items())


def _stack(known: Mapping[str, str]) -> dict[str, object]:
    """What the `tradeoff` command wants to know of a stack."""
    return {
        "public_url": PUBLIC,
        "internal_url": INTERNAL,
        "operator_token": known["operator-token"],
        "participant_token": known["participant-token"],
        "kafka": KAFKA,
        "redis_url": _redis_url(known),
        "databases": {
            service: {login: _database_url(service, known, login) for login in ("owner", "audit")}
            for service in SERVICES
        },
        "processes": {},  # in containers of their own, where nobody else can see them
        "behind": {service: f"{service}:8000" for service in SERVICES},
    }


def _database_url(service: str, known: Mapping[str, str], login: str = "owner") -> str:
    user = service if login == "owner" else login
    return f"postgresql://{user}:{known[f'{service}-{login}']}@postgres-{service}:5432/{service}"


def _redis_url(known: Mapping[str, str]) -> str:
    return f"redis://:{known['redis']}@redis:6379/0"


def main(directory: Path) -> None:
    os.umask(0o022)
    known = load_or_create(directory / "credentials.json")
    for folder, files in folders(known).items():
        (directory / folder).mkdir(exist_ok=True)
        for name, text in files.items():
            write_private(directory / folder / name, text, 0o444)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
