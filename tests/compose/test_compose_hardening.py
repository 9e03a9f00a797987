"""What a container may do, and whom it can reach: asked inside of it."""

import json

import pytest

from lab.state import SERVICES
from tests.compose.project import DATABASES, SERVERS, Project

pytestmark = pytest.mark.timeout(300)

KNOCK = (
    "import socket, sys\n"
    "try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()\n"
    "except OSError as error: print('away')\n"
    "else: print('open')\n"
)
PORTS = {**dict.fromkeys(DATABASES, 5432), "kafka": 9092, "redis": 6379, "nginx": 8081}


@pytest.mark.parametrize("service", [*SERVICES, *SERVERS])
def test_a_container_runs_as_nobody_in_particular_and_can_write_nothing(
    project: Project, service: str
) -> None:
    for container in project.containers(service):
        told = project.inspect(container)
        host = told["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert host["Memory"] > 0 and host["PidsLimit"] > 0
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        assert host["LogConfig"]["Config"]["max-size"]
        assert told["State"]["Health"]["Status"] == "healthy"
        assert project.inside(container, "id", "-u") != "0"
        status = dict(
            line.split(":\t", 1)
            for line in project.inside(container, "cat", "/proc/1/status").splitlines()
            if ":\t" in line
        )
        assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        assert status["NoNewPrivs"].strip() == "1"
        refused = project.inside(
            container, "sh", "-c", "touch /etc/x /usr/x /var/x || echo refused", check=False
        )
        assert refused == "refused"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reaches_its_own_database_and_no_other(project: Project, service: str) -> None:
    [container, *_] = project.containers(service)
    found = {}
    for server, port in PORTS.items():
        [other] = project.containers(server)
        networks = project.inspect(other)["NetworkSettings"]["Networks"].values()
        addresses = [server, *(network["IPAddress"] for network in networks)]
        answers = {
            project.inside(container, "python", "-c", KNOCK, address, str(port)) for address in addresses
        }
        found[server] = "open" if "open" in answers else "away"
    assert {server for server, answer in found.items() if answer == "open"} == {
        f"postgres-{service}",
        "kafka",
        "redis",
        "nginx",
    }
    assert project.inside(container, "python", "-c", KNOCK, "192.0.2.1", "443") == "away"


def test_nginx_reaches_no_server(project: Project) -> None:
    [nginx] = project.containers("nginx")
    for server in (*DATABASES, "kafka", "redis"):
        asked = ("curl", "-s", "--max-time", "2", f"telnet://{server}:{PORTS[server]}")
        assert project.inside(nginx, *asked, check=False) == ""
        assert project.inside(nginx, "getent", "hosts", server, check=False) == ""


def test_each_sees_its_own_secrets_only(project: Project) -> None:
    told = json.dumps([f"{login.owner} {login.audit}" for login in project.stack.databases.values()])
    for service in SERVICES:
        [container, *_] = project.containers(service)
        assert project.inside(container, "ls", "/run/secrets") == "environment"
        own = project.stack.databases[service].owner
        environment = project.inside(container, "cat", "/run/secrets/environment")
        assert own in environment and environment.count("postgresql://") == 1 and own in told
        assert "postgresql://" not in json.dumps(project.inspect(container)["Config"])
    for server in (*DATABASES, "redis", "kafka", "nginx"):
        [container] = project.containers(server)
        secrets = project.inside(container, "sh", "-c", "ls /run/secrets 2>/dev/null || :")
        assert "credentials" not in secrets and "stack" not in secrets


def test_only_nginx_listens_outside_and_only_here(project: Project) -> None:
    published = {}
    for container in project.containers():
        told = project.inspect(container)
        for bound in told["NetworkSettings"]["Ports"].values():
            for where in bound or ():
                published[told["Config"]["Labels"]["com.docker.compose.service"]] = where
    assert published == {"nginx": {"HostIp": "127.0.0.1", "HostPort": str(project.port)}}


def test_the_image_has_no_compiler_and_says_what_it_is(project: Project) -> None:
    [container, *_] = project.containers("order")
    assert (
        project.inside(container, "sh", "-c", "command -v gcc cc ld make || echo none", check=False) == "none"
    )
    assert project.inspect(container)["Config"]["Labels"]["org.opencontainers.image.title"] == "Tradeoff"
