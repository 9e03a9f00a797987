"""Wraps a process's parts, from outside, in faults, and mounts the routes that set them.

The parts know nothing of it. They are reached by private names, so that no public one exists for the sake of
faults; `tests/faults` comes to every point, and so notices a name that has changed.
"""

from typing import Annotated, Any

import httpx
import msgspec
from fastapi import Body, FastAPI, Request, Response

from services.chaos.faults import Fault, Faults
from services.chaos.points import ORCHESTRATOR
from services.chaos.post import of_outbox
from services.chaos.wire import Wire
from services.runtime.http import FOR_OPERATORS, OPERATOR, Strict, require_operator
from services.runtime.problems import Problem, documented
from services.runtime.settings import Settings

MOST_FAULTS = 100


class Wanted(Strict):
    faults: Annotated[list[Fault], Body(max_length=MOST_FAULTS)]


def of_participant(
    role: str, settings: Settings, app: FastAPI, outbox: Any, peers: httpx.AsyncClient, part: Any
) -> None:
    """`part` is the Participant whose acts are wrapped, `peers` its way to the others."""
    faults = _mounted(role, settings, app)
    of_outbox(role, outbox, faults)
    _wire(peers, faults)
    run = part._run

    async def run_at(call: Any, act: Any, *more: Any) -> Any:
        await faults.at(f"before-{act.verb}", call.id)
        done, refusals = await run(call, act, *more)
        if done or act.verb == "pre-commit":  # which is never sure of itself
            await faults.at(f"after-{act.verb}", call.id)
        return done, refusals

    part._run = run_at


def of_orchestrator(
    settings: Settings, app: FastAPI, outbox: Any, participants: Any, coordinator: Any
) -> None:
    """Wraps what the coordinator forces, each transaction by itself, and its way to the participants."""
    faults = _mounted(ORCHESTRATOR, settings, app)
    of_outbox(ORCHESTRATOR, outbox, faults)
    _wire(participants._client, faults)
    begin, submit = coordinator._begin, coordinator._log.submit

    async def begin_at(by_id: Any) -> Any:
        await faults.at("before-force:voting", "")
        begun = await begin(by_id)
        for live, _ in begun:
            await faults.at("after-force:voting", live.row.id)
        return begun

    async def submit_at(live: Any) -> Any:
        phase = live.row.state.phase
        await faults.at(f"before-force:{phase}", live.row.id)
        forced = await submit(live)
        if forced:
            await faults.at(f"after-force:{phase}", live.row.id)
        return forced

    coordinator._begin, coordinator._log.submit = begin_at, submit_at


def _wire(client: httpx.AsyncClient, faults: Faults) -> None:
    client._transport = Wire(client._transport, faults)


def _mounted(role: str, settings: Settings, app: FastAPI) -> Faults:
    faults, token = Faults(role), settings.operator_token

    async def read(request: Request) -> Response:
        """What is armed, who is held, how often each point was reached, and what the clock shows."""
        require_operator(request, token)
        return _json(faults.told())

    async def put(request: Request, wanted: Wanted) -> Response:
        """From now on these faults and no others; who was held goes on."""
        require_operator(request, token)
        if unknown := faults.unknown(wanted.faults):
            raise Problem(422, "unknown-point", unknown)
        faults.set(wanted.faults)
        return _json(faults.told())

    async def delete(request: Request) -> Response:
        """No faults any more; who was held goes on."""
        require_operator(request, token)
        faults.set([])
        return _json(faults.told())

    for method, endpoint in (("GET", read), ("PUT", put), ("DELETE", delete)):
        told: dict[str, Any] = {"tags": ["faults"], "dependencies": [OPERATOR]}
        app.add_api_route("/faults", endpoint, methods=[method], responses=documented(FOR_OPERATORS), **told)
    return faults


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
