"""What a person wants to see of a stack: what is where, whether it is ready, and what it logged."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from infra.native import configuration
from infra.native.failures import Failure
from infra.native.layout import SERVICES
from infra.native.parts import Part
from infra.native.screen import table
from infra.native.stack import Stack


def summary(stack: Stack, *, servers_only: bool) -> str:
    """The parts with their ports, and the URLs."""
    told, ports = stack.told, stack.layout.ports
    rows = [
        ("nginx", f"{ports['NGINX_PUBLIC_PORT']} public, {ports['NGINX_INTERNAL_PORT']} internal"),
        ("postgres", ", ".join(f"{ports[f'POSTGRES_{s.upper()}_PORT']} {s}" for s in SERVICES)),
        ("kafka", str(ports["KAFKA_PORT"])),
        ("redis", str(ports["REDIS_PORT"])),
    ]
    if servers_only:
        return "The servers are up, without the shop.\n" + table(
            [(f"  {name}", where) for name, where in rows]
        )
    for service in SERVICES:
        replicas = [
            process["port"] for name, process in told["processes"].items() if name.startswith(service)
        ]
        rows.append((service, ", ".join(map(str, replicas))))
    if stack.layout.chosen:
        rows.append(
            ("as chosen", ", ".join(f"{name}={value}" for name, value in stack.layout.chosen.items()))
        )
    lines = [
        "Tradeoff is up.",
        table([(f"  {name}", where) for name, where in rows]),
        f"The shop: {told['public_url']}   (its API, to read and try: "
        + ", ".join(configuration.docs_url(stack.layout, service) for service in configuration.DOCUMENTED)
        + ")",
        "Look at it with: make status, make logs. Stop it with: make down",
    ]
    return "\n".join(lines)


def status(stack: Stack) -> tuple[str, bool]:
    """A table of all parts, and whether every one of them is ready."""
    states = stack.supervisor.states()
    if not states:
        return "Tradeoff is down. Start it with: make up", False
    parts = stack.parts()
    with ThreadPoolExecutor(len(parts)) as pool:
        ready = list(pool.map(lambda part: part.is_ready(), parts))
    rows = [("PART", "HEALTH", "PID", "PORT", "RESTARTS", "UP")]
    for part, is_ready in zip(parts, ready, strict=True):
        rows.append(_row(part, states.get(part.name, {}), is_ready, stack.supervisor.exits(part.name)))
    return table(rows), all(ready)


def _row(
    part: Part, state: dict[str, Any], is_ready: bool, exits: int
) -> tuple[str, str, str, str, str, str]:
    runs = state.get("pid", 0) != 0
    health = (
        "ready" if is_ready and runs else "not ready" if runs else state.get("statename", "unknown").lower()
    )
    up = str(timedelta(seconds=state["now"] - state["start"])) if runs else "-"
    ports = ", ".join(map(str, part.ports.values()))
    return part.name, health, str(state.get("pid") or "-"), ports, str(exits), up


def log_files(stack: Stack, part: str | None) -> list[Path]:
    """Of one part, or of all; the freshest last."""
    found = sorted(stack.layout.logs.glob("*.log"), key=lambda file: file.stat().st_mtime)
    if part is None:
        if not found:
            raise Failure("Nothing has been logged yet. Start the stack with: make up")
        return found
    if not (chosen := [file for file in found if file.stem == part]):
        raise Failure(f"No log of {part}. There are: {', '.join(sorted(file.stem for file in found))}")
    return chosen
