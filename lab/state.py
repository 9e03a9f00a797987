"""What the `tradeoff` command knows of a running stack: the `stack.json` it wrote when it came up."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SERVICES = ("order", "payment", "inventory", "orchestrator")


class Trouble(Exception):
    """Something that the user can act on: the command prints it and exits with 2."""


@dataclass(frozen=True, slots=True)
class Login:
    """The two ways into one database: as its owner, and as one who can only read."""

    owner: str
    audit: str


@dataclass(frozen=True, slots=True)
class Stack:
    public_url: str
    internal_url: str
    operator_token: str
    kafka: str
    redis_url: str
    databases: Mapping[str, Login]
    ports: Mapping[str, int]
    """Of the processes on this machine."""

    addresses: Mapping[str, str]
    """`host:port` of every replica that can be reached from here, by its name."""

    def listeners(self) -> dict[str, int]:
        """The port of every part, by the part's name: how its processes are found."""
        found = {"nginx": _port(self.public_url), "kafka": _port(f"//{self.kafka}")}
        found["redis"] = _port(self.redis_url)
        found |= {f"postgres-{name}": _port(login.owner) for name, login in self.databases.items()}
        return found | dict(self.ports)


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def directory() -> Path:
    """Where the stack keeps its state: TRADEOFF_STATE, else the clone's own, else the working directory's."""
    if chosen := os.environ.get("TRADEOFF_STATE"):
        return Path(chosen)
    ours = Path(__file__).resolve().parents[1] / ".tradeoff"
    return ours if ours.exists() else Path.cwd() / ".tradeoff"


def load() -> Stack:
    """The running stack, or `Trouble` that says how to get one."""
    path = directory() / "stack.json"
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise Trouble(f"The stack is not up (no {path}). Start it with: make up") from None
    except PermissionError:
        raise Trouble(f"{path} belongs to another user: run as the one who started the stack.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Trouble(f"{path} is not readable ({error!r}). Start it anew: make down, make up") from None


def parse(told: dict[str, Any]) -> Stack:
    ports = {name: int(process["port"]) for name, process in told["processes"].items()}
    return Stack(
        public_url=str(told["public_url"]).rstrip("/"),
        internal_url=str(told["internal_url"]).rstrip("/"),
        operator_token=str(told["operator_token"]),
        kafka=str(told["kafka"]),
        redis_url=str(told["redis_url"]),
        databases={n: Login(str(d["owner"]), str(d["audit"])) for n, d in told["databases"].items()},
        ports=ports,
        addresses={name: f"127.0.0.1:{port}" for name, port in ports.items()}
        | _replicas(told.get("behind", {})),
    )


def _replicas(behind: dict[str, str]) -> dict[str, str]:
    """Of services in containers: all addresses that the network knows by the service's name."""
    found = {}
    for service, address in behind.items():
        host, _, port = address.partition(":")
        try:
            known = socket.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
        except OSError:
            continue
        for number, ip in enumerate(sorted({str(socket_address[0]) for *_, socket_address in known}), 1):
            found[f"{service}-{number}"] = f"{ip}:{port}"
    return found
