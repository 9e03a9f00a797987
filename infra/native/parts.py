"""The parts of a stack: how each is started, asked whether it is ready, and stopped."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.native import configuration, kafka, machine, postgres, probes, python_packages
from infra.native.layout import REPO, SERVICES, Layout

WATCHDOG = "watchdog"


@dataclass(frozen=True)
class Job:
    """Runs to its end once a server is ready and before any service starts; repeating it is harmless."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Part:
    """One process under the supervisor; whatever it starts dies with it."""

    name: str
    command: tuple[str, ...]
    ports: Mapping[str, int]
    """By the setting that chooses them."""
    is_ready: Callable[[], bool]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: str = "TERM"
    stop_s: int = 15
    is_service: bool = False
    prepare: Callable[[], None] = lambda: None
    """Makes what the part needs on disk, at its first start."""
    job: Job | None = None


def of(layout: Layout, credentials: Mapping[str, str], extra: Mapping[str, str]) -> list[Part]:
    """All parts. `extra` is added to each service's environment."""
    marks = {kind: configuration.mark(files) for kind, files in configuration.of(layout, credentials).items()}
    servers = [
        *(_postgres(layout, credentials, service, marks["postgres"]) for service in SERVICES),
        _kafka(layout, marks["kafka"]),
        _redis(layout, credentials, marks["redis"]),
        _nginx(layout, marks["nginx"]),
        _watchdog(layout),
    ]
    shared = {**extra, "CODE": _code_mark()}
    return servers + [
        _replica(layout, credentials, service, number, shared)
        for service in SERVICES
        for number in range(1, layout.replicas + 1)
    ]


def _code_mark() -> str:
    """Changes with the code of the services: `up` after an edit or a `git pull` starts them anew."""
    sources = [file for package in ("services", "orchestrator") for file in (REPO / package).rglob("*.py")]
    return configuration.mark({file: file.read_text(encoding="utf-8") for file in sources})


def _postgres(layout: Layout, credentials: Mapping[str, str], service: str, mark: str) -> Part:
    data = layout.postgres_data / f"pg-{service}"
    programs = postgres.programs(data)
    setting = f"POSTGRES_{service.upper()}_PORT"
    port = layout.ports[setting]
    file = configuration.postgresql_conf(layout)
    passwords = {login: credentials[f"{service}-{login}"] for login in ("owner", "audit")}
    passwords["postgres"] = credentials["postgres"]
    return Part(
        name=f"pg-{service}",
        command=(f"{programs}/postgres", "-D", str(data), "-c", f"config_file={file}", "-p", str(port)),
        ports={setting: port},
        is_ready=functools.partial(probes.postgres, programs, port),
        directory=layout.postgres_data,
        environment={"CONFIGURATION": mark},
        user=postgres.user(),
        stop_signal="INT",  # ends sessions; TERM would wait for them
        stop_s=30,
        prepare=functools.partial(postgres.create, data, service, passwords),
        job=Job(
            f"migrate-{service}",
            (str(python_packages.PYTHON), "-m", "services.runtime.migrate", service),
            {"DATABASE_URL": configuration.database_url(layout, credentials, service)},
        ),
    )


def _kafka(layout: Layout, mark: str) -> Part:
    port = layout.ports["KAFKA_PORT"]
    return Part(
        name="kafka",
        command=tuple(kafka.command("kafka.Kafka", str(layout.config / "kafka.properties"), tmp=layout.run)),
        ports={name: layout.ports[name] for name in ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT")},
        is_ready=functools.partial(probes.kafka, port),
        directory=layout.run,
        environment={"CONFIGURATION": mark},
        stop_s=30,
        prepare=functools.partial(kafka.prepare_storage, layout.data / "kafka"),
        job=Job(
            "topics",
            (str(python_packages.PYTHON), "-m", "infra.topics"),
            {"KAFKA_BOOTSTRAP": f"{configuration.HOST}:{port}"},
        ),
    )


def _redis(layout: Layout, credentials: Mapping[str, str], mark: str) -> Part:
    port = layout.ports["REDIS_PORT"]
    return Part(
        name="redis",
        command=(str(machine.find("redis-server")), str(layout.config / "redis.conf")),
        ports={"REDIS_PORT": port},
        is_ready=functools.partial(probes.redis, port, credentials["redis"]),
        directory=layout.run,
        environment={"CONFIGURATION": mark},
    )


def _nginx(layout: Layout, mark: str) -> Part:
    names = ("NGINX_PUBLIC_PORT", "NGINX_INTERNAL_PORT")
    file = layout.config / "nginx" / "nginx.conf"
    return Part(
        name="nginx",
        command=(str(machine.find("nginx")), "-p", str(layout.run), "-e", "stderr", "-c", str(file)),
        ports={name: layout.ports[name] for name in names},
        is_ready=functools.partial(probes.http_ok, layout.ports["NGINX_PUBLIC_PORT"], "/livez"),
        directory=layout.run,
        environment={"CONFIGURATION": mark},
    )


def _watchdog(layout: Layout) -> Part:
    return Part(
        name=WATCHDOG,
        command=(str(python_packages.PYTHON), "-m", "infra.native", "watch", "--state", str(layout.state)),
        ports={},
        is_ready=functools.partial(probes.touched, layout.watchdog),
        directory=REPO,
        environment={"KAFKA_PORT": str(layout.ports["KAFKA_PORT"])},
    )


def _replica(
    layout: Layout, credentials: Mapping[str, str], service: str, number: int, shared: Mapping[str, str]
) -> Part:
    module = "orchestrator.main" if service == "orchestrator" else f"services.{service}.main"
    port = configuration.replica_port(layout, service, number)
    name = f"{service}-{number}"
    ports = layout.ports
    return Part(
        name=name,
        command=(str(python_packages.PYTHON), "-m", module),
        ports={f"{service.upper()}_PORT + {number}": port},
        is_ready=functools.partial(probes.http_ok, port, "/readyz"),
        directory=REPO,
        environment={
            "JOURNAL_SAMPLE": "1",
            "COORDINATOR_SILENCE_S": "3",
            "CHAOS": "0",
            **shared,
            "PROCESS_NAME": name,
            "HTTP_HOST": configuration.HOST,
            "HTTP_PORT": str(port),
            "DATABASE_URL": configuration.database_url(layout, credentials, service),
            "KAFKA_BOOTSTRAP": f"{configuration.HOST}:{ports['KAFKA_PORT']}",
            "REDIS_URL": configuration.redis_url(layout, credentials),
            "INTERNAL_URL": f"http://{configuration.HOST}:{ports['NGINX_INTERNAL_PORT']}",
            "OPERATOR_TOKEN": credentials["operator-token"],
            "PARTICIPANT_TOKEN": credentials["participant-token"],
        },
        is_service=True,
    )
