"""The compose project under a name and a port of its own."""

import json
import os
import secrets
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.state import SERVICES, Stack, parse

ROOT = Path(__file__).parents[2]
DATABASES = tuple(f"postgres-{service}" for service in SERVICES)
RUN = ("run", "--rm", "--no-deps", "-T")
SERVERS = (*DATABASES, "kafka", "redis", "nginx")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def docker(*words: str, check: bool = True, **more: str) -> str:
    """What the command prints; what it complains of is in the failure."""
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **more}, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"docker {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout.strip()


@dataclass
class Project:
    name: str = field(default_factory=lambda: f"tradeoff-test-{secrets.token_hex(3)}")
    port: int = field(default_factory=_free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        return {
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_PROFILES": "",
            "TRADEOFF_IMAGE": f"{self.name}:latest",
            "NGINX_PUBLIC_PORT": str(self.port),
            "REPLICAS": "2",
        }

    def compose(self, *words: str, check: bool = True, **more: str) -> str:
        return docker("compose", *words, check=check, **{**self.settings, **more})

    def up(self, *words: str, **more: str) -> None:
        self.compose("up", "--detach", "--wait", "--wait-timeout", "240", *words, check=True, **more)

    def run(self, *words: str, check: bool = True) -> str:
        """The `tradeoff` command, in a container of its own."""
        return self.compose(*RUN, "tradeoff", *words, check=check)

    def containers(self, *services: str) -> list[str]:
        """Ids of those that run, of all services or of these."""
        return self.compose("ps", "--quiet", *services).split()

    def inspect(self, container: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(docker("inspect", container))[0]
        return told

    def inside(self, container: str, *command: str, check: bool = True) -> str:
        return docker("exec", container, *command, check=check)

    @cached_property
    def stack(self) -> Stack:
        """As the tools in the project see it, but for the shop's address: that is ours."""
        told = self.compose(*RUN, "--entrypoint", "cat", "tradeoff", "/run/secrets/stack.json")
        return replace(parse(json.loads(told)), public_url=self.url)

    def down(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "10")
        docker("image", "rm", "--force", self.settings["TRADEOFF_IMAGE"])

    def left(self) -> dict[str, str]:
        """What is still there of it, by kind."""
        mine = ("--quiet", "--filter", f"label=com.docker.compose.project={self.name}")
        look: dict[str, Callable[[], str]] = {
            "containers": lambda: docker("ps", "--all", *mine),
            "networks": lambda: docker("network", "ls", *mine),
            "volumes": lambda: docker("volume", "ls", *mine),
            "images": lambda: docker("image", "ls", "--quiet", self.settings["TRADEOFF_IMAGE"]),
        }
        return {kind: found for kind, see in look.items() if (found := see())}
