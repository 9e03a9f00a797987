"""What `up` does to a stack that runs."""

import socket
from dataclasses import replace

import pytest

from infra.native import Failure, Stack


def test_a_taken_port_leaves_the_running_stack_as_it_was(native: Stack) -> None:
    def running() -> dict[str, int]:
        return {name: state["pid"] for name, state in native.supervisor.states().items()}

    before, told = running(), native.told
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        layout = replace(native.layout, ports={**native.layout.ports, "REDIS_PORT": port})
        with pytest.raises(Failure, match=f"port {port}.*REDIS_PORT"):
            Stack(layout=layout).up()
    assert running() == before
    assert native.told == told
    native.up()
    assert running() == before
