"""Restarts a Kafka that lives and yet lets nobody into a group. The supervisor sees only that it lives.

After a kill Kafka's group coordinator may come back out of step with its own log ("the state machine of the
coordinator is out of sync"), and stay so until the broker is started again: it answers, takes messages, and
no consumer gets a partition.
"""

import time

from infra.native import probes
from infra.native.layout import Layout
from infra.native.supervisor import Supervisor

EVERY_S = 3.0
NOES = 7
"""In a row: twenty seconds."""

PATIENCE_S = 10.0
"""The broker itself gives up a commit after five seconds, and says so."""

YOUNG_S = 40.0
"""A broker that started so recently may still be on its way."""

LOADING = 14


def count(noes: int, said: int | None) -> int:
    """How often in a row Kafka has refused now, given what it `said`. Only a definite no counts: whoever is
    busy, paused or away says nothing, and whoever is loading says that."""
    if said is None:
        return noes
    return 0 if said in (0, LOADING) else noes + 1


def watch(layout: Layout) -> None:
    """For ever."""
    supervisor = Supervisor(layout)
    noes, watched = 0, 0
    while True:
        layout.watchdog.touch()
        time.sleep(EVERY_S)
        state = supervisor.states().get("kafka", {"pid": 0, "now": 0, "start": 0})
        said = probes.kafka_groups(layout.ports["KAFKA_PORT"], PATIENCE_S)
        noes = count(noes if state["pid"] == watched else 0, said)
        watched = state["pid"]
        if noes >= NOES and state["now"] - state["start"] >= YOUNG_S:
            print(f"Kafka (pid {watched}) refuses every group (error {said}): it is restarted.", flush=True)
            supervisor.restart("kafka")
