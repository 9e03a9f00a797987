"""The files that the servers read: what infra/ says for every way of running, filled in for this stack."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from infra.native import kafka
from infra.native.layout import REPO, SERVICES, Layout, write_private

INFRA = REPO / "infra"
HOST = "127.0.0.1"
DOCUMENTED = ("order", "payment", "inventory")
"""The services whose API is for customers."""

OPERATOR_SETTING = "OPERATOR_ROUTES"
"""`on` routes the operator's paths through the public listener too."""

HASTE_SETTING, HASTE = "REQUESTS_PER_S", "5000"
"""How many requests one client may send, before nginx answers 429."""

Files = dict[Path, str]


def of(layout: Layout, credentials: Mapping[str, str]) -> dict[str, Files]:
    """For each kind of server, its files and what they say."""
    return {
        "postgres": _postgres(layout),
        "kafka": _kafka(layout),
        "redis": _redis(layout, credentials["redis"]),
        "nginx": _nginx(layout),
    }


def mark(files: Files) -> str:
    """What the files amount to, in short: a server whose mark has changed is started anew."""
    said = "\0".join(f"{file}\0{text}" for file, text in sorted(files.items()))
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def write(layout: Layout, files: Files) -> None:
    """Each file in one step, so that a server that happens to start now reads the old or the new."""
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        # Postgres may run as another user; there is no secret in its settings.
        write_private(file, text, 0o644 if file == postgresql_conf(layout) else 0o600)


def describe(layout: Layout, credentials: Mapping[str, str]) -> None:
    """Writes stack.json: all that tools and tests need to know of this stack."""
    ports = layout.ports
    told = {
        "public_url": f"http://{HOST}:{ports['NGINX_PUBLIC_PORT']}",
        "internal_url": f"http://{HOST}:{ports['NGINX_INTERNAL_PORT']}",
        "operator_token": credentials["operator-token"],
        "participant_token": credentials["participant-token"],
        "kafka": f"{HOST}:{ports['KAFKA_PORT']}",
        "redis_url": redis_url(layout, credentials),
        "databases": {
            service: {
                "owner": database_url(layout, credentials, service),
                "audit": database_url(layout, credentials, service, "audit"),
            }
            for service in SERVICES
        },
        "processes": {
            f"{service}-{n}": {"port": replica_port(layout, service, n)}
            for service in SERVICES
            for n in range(1, layout.replicas + 1)
        },
        "supervisor": str(layout.socket),
        "replicas": layout.replicas,
        "ports": dict(ports),
        "chosen": dict(layout.chosen),
    }
    write_private(layout.stack_json, json.dumps(told, indent=1) + "\n")


def database_url(layout: Layout, credentials: Mapping[str, str], service: str, login: str = "owner") -> str:
    user = service if login == "owner" else login
    port = layout.ports[f"POSTGRES_{service.upper()}_PORT"]
    return f"postgresql://{user}:{credentials[f'{service}-{login}']}@{HOST}:{port}/{service}"


def redis_url(layout: Layout, credentials: Mapping[str, str]) -> str:
    return f"redis://:{credentials['redis']}@{HOST}:{layout.ports['REDIS_PORT']}/0"


def replica_port(layout: Layout, service: str, number: int) -> int:
    return layout.ports[f"{service.upper()}_PORT"] + number


def docs_url(layout: Layout, service: str) -> str:
    return f"http://{HOST}:{replica_port(layout, service, 1)}/docs"


def postgresql_conf(layout: Layout) -> Path:
    """Outside of the data directories, so that all four servers read the same one."""
    return layout.postgres_data / "postgresql.conf"


def _postgres(layout: Layout) -> Files:
    shared = (INFRA / "postgres" / "postgresql.conf").read_text(encoding="utf-8")
    # TCP is enough: a socket would be a file in a directory of the system.
    return {postgresql_conf(layout): f"{shared}\nunix_socket_directories = ''\n"}


def _kafka(layout: Layout) -> Files:
    ports = layout.ports
    text = kafka.properties(ports["KAFKA_PORT"], ports["KAFKA_CONTROLLER_PORT"], layout.data / "kafka")
    return {layout.config / "kafka.properties": text}


def _redis(layout: Layout, password: str) -> Files:
    shared = (INFRA / "redis" / "redis.conf").read_text(encoding="utf-8")
    own = f"bind {HOST}\nport {layout.ports['REDIS_PORT']}\nrequirepass {password}\n"
    return {layout.config / "redis.conf": f'{shared}\n{own}dir "{layout.run}"\n'}


def _nginx(layout: Layout) -> Files:
    """What the main file includes is found beside it."""
    source, target = INFRA / "nginx", layout.config / "nginx"
    shop = _filled(
        (source / "shop.conf.template").read_text(encoding="utf-8"),
        {
            "PUBLIC_LISTEN": f"{HOST}:{layout.ports['NGINX_PUBLIC_PORT']}",
            "INTERNAL_LISTEN": f"{HOST}:{layout.ports['NGINX_INTERNAL_PORT']}",
            "DOCS": json.dumps({s: docs_url(layout, s) for s in DOCUMENTED}, separators=(",", ":")),
            "REQUESTS_PER_S": layout.chosen.get(HASTE_SETTING, HASTE),
            "OPERATOR": "on" if layout.chosen.get(OPERATOR_SETTING) == "on" else "off",
            **{f"{service.upper()}_SERVERS": _upstream(layout, service) for service in SERVICES},
        },
    )
    main = (source / "native.conf.template").read_text(encoding="utf-8")
    included = {
        target / "includes" / file.name: file.read_text(encoding="utf-8")
        for file in (source / "includes").iterdir()
    }
    return {target / "nginx.conf": _filled(main, {"RUN": str(layout.run), "SHOP": shop}), **included}


def _upstream(layout: Layout, service: str) -> str:
    """No replica is paused for its failures. On one machine a dead one refuses at once and the next is tried,
    while one that was paused would be tried with one request a second, each of which may wait for an outcome.
    """
    ports = [replica_port(layout, service, number) for number in range(1, layout.replicas + 1)]
    return " ".join(f"server {HOST}:{port} max_fails=0;" for port in ports)


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Replaces ${NAME}; nginx's own variables are in small letters."""
    return re.sub(r"\$\{([A-Z_]+)\}", lambda found: values[found[1]], template)
