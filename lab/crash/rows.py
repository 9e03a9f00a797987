"""What can go wrong at which step: each row is one thing that is lost once, under load."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from lab.state import Trouble
from lab.workload import PROTOCOLS, SAGA
from services.chaos.points import ACTS, FORCED, NAMES, OF_COMMITS, OF_SAGAS, ORCHESTRATOR, WHEN
from services.contract.commit import PARTICIPANTS

THREE_PHASE = "3pc"

ALONE = "restart"
"""The one mode that needs nobody else: who is told to dies, and whoever keeps it running starts it again."""

PROCESS_MODES = (ALONE, "takeover", "pause")
SERVERS = tuple(f"pg-{name}" for name in (*PARTICIPANTS, ORCHESTRATOR))
PARTITION = "partition"
AWAY = "away"
MODES = (*PROCESS_MODES, AWAY, *SERVERS, PARTITION)
"""Who comes to the step dies and is started again; dies and stays away until others have done its work; is
stopped (SIGSTOP) until they have, and then goes on; dies with all of its role, who stay away for a while; is
held there while this server dies; or goes on in a network that is in two parts."""

DEADLY = (ALONE, "takeover", AWAY)
"""Who is silent is dead. In the others somebody who lives is held or stopped for a while, or not heard."""

SPLITTING = f"{ORCHESTRATOR}@after-force:pre-committing"
"""All have voted yes, and nobody has heard more. Three-phase commit does not survive a partition now."""

OF_THREE_PHASES = {"pre-commit", "pre-committing"}
PROVOKED = {"bury"}
"""Nobody comes there unless a message is lost, too; see `tests/faults/test_seams.py`."""


LAST = ("2pc-group", "payment")
"""In a group they vote one after the other. When the last has prepared, nobody is left who could say no."""


class Row(NamedTuple):
    protocol: str
    at: str
    mode: str

    @property
    def role(self) -> str:
        return self.at.partition("@")[0]

    @property
    def may_split(self) -> bool:
        """Three-phase commit takes the silent for dead, and whoever only stands still proves it wrong."""
        return self.protocol == THREE_PHASE and self.mode not in DEADLY

    @property
    def command(self) -> str:
        """What repeats it."""
        return f"tradeoff crash {self.at} --protocol {self.protocol} --mode {self.mode}"


CHOSEN = (
    Row("saga", "orchestrator@before-save:order.hold", "restart"),
    Row("saga", "orchestrator@before-send:order.ship", "restart"),
    Row("saga", "payment@after-send:order.charge", "restart"),
    Row("saga", "order@before-save:cancel.close", "restart"),
    Row("saga", "orchestrator@before-send:order.charge", "takeover"),
    Row("saga", "orchestrator@after-send:order.charge", "pause"),
    Row("saga", "inventory@before-save:order.hold", "pause"),
    Row("saga", "orchestrator@before-send:order.refund", "pg-payment"),
    Row("2pc", "orchestrator@before-force:committing", "restart"),
    Row("2pc", "orchestrator@after-force:committing", "restart"),
    Row("2pc", "inventory@after-work", "restart"),
    Row("2pc", "payment@before-commit", "restart"),
    Row("2pc", "orchestrator@after-force:committing", "takeover"),
    Row("2pc", "orchestrator@before-force:committing", "pause"),
    Row("2pc", "orchestrator@before-force:committing", "pg-orchestrator"),
    Row("2pc", "orchestrator@after-force:committing", "pg-payment"),
    Row("2pc", "orchestrator@before-force:committing", "away"),
    Row("2pc-group", "payment@after-work", "restart"),
    Row("2pc-group", "orchestrator@before-force:committing", "takeover"),
    Row("2pc-group", "orchestrator@after-force:committing", "pg-order"),
    Row("3pc", "orchestrator@after-force:pre-committing", "restart"),
    Row("3pc", "orchestrator@before-force:committing", "restart"),
    Row("3pc", "inventory@before-pre-commit", "restart"),
    Row("3pc", "order@after-pre-commit", "restart"),
    Row("3pc", "orchestrator@after-force:pre-committing", "takeover"),
    Row("3pc", "orchestrator@before-force:committing", "pause"),
    Row("3pc", "orchestrator@before-force:committing", "away"),
    Row("3pc", "orchestrator@after-force:pre-committing", "pg-inventory"),
    Row("3pc", SPLITTING, PARTITION),
)
"""Those that stand for the rest: ten minutes of them."""


def every() -> Iterator[Row]:
    """All steps of all protocols in all modes. At an orchestrator's, servers die, too, or all of its kind."""
    for protocol in PROTOCOLS:
        for at in points(protocol):
            yield from (Row(protocol, at, mode) for mode in PROCESS_MODES)
            if at.startswith(ORCHESTRATOR) and (protocol != SAGA or "@before-send" in at):
                yield from (Row(protocol, at, mode) for mode in (AWAY, *SERVERS))
    yield Row(THREE_PHASE, SPLITTING, PARTITION)


def points(protocol: str) -> Iterator[str]:
    """The steps that orders come to by this protocol."""
    if protocol == SAGA:
        yield from (f"{role}@{point}" for role, found in OF_SAGAS.items() for point in found)
        return
    left_out = PROVOKED if protocol == THREE_PHASE else PROVOKED | OF_THREE_PHASES
    yield from (
        f"{ORCHESTRATOR}@{when}-force:{phase}" for phase in FORCED if phase not in left_out for when in WHEN
    )
    for role in PARTICIPANTS:
        never = left_out | {"rollback"} if (protocol, role) == LAST else left_out
        yield from (f"{role}@{when}-{act}" for act in ACTS if act not in never for when in WHEN)


def select(
    rows: Iterable[Row], protocols: Iterable[str], patterns: Iterable[str], modes: Iterable[str]
) -> list[Row]:
    """Those of these protocols and modes whose step matches a pattern (`payment@*`). Raises Trouble."""
    wanted = list(patterns) or ["*"]
    for kind, asked, known in (("protocol", protocols, PROTOCOLS), ("mode", modes, MODES)):
        if strange := set(asked) - set(known):
            raise Trouble(f"{strange.pop()} is no {kind}: choose from {', '.join(known)}.")
    found = [
        row
        for row in rows
        if row.protocol in protocols
        and row.mode in modes
        and any(fnmatchcase(row.at, pattern) for pattern in wanted)
    ]
    if not found:
        raise Trouble("No row is like that. `tradeoff crash` without a step lists the steps; try --all.")
    return found


def row(at: str, protocol: str | None, mode: str) -> Row:
    """One row, of the simplest protocol that comes to this step if none is named. Raises Trouble."""
    if at not in NAMES:
        like = [name for name in NAMES if name.startswith(at)] or [
            name for name in NAMES if at.partition("@")[2] in name
        ]
        hint = f"Near it: {', '.join(like[:8])}." if like else "`tradeoff crash` lists them."
        raise Trouble(f"There is no step {at}. {hint}")
    fit = [name for name in PROTOCOLS if at in points(name)]
    if not fit:
        raise Trouble(f"No order comes to {at} unless a message is lost, too.")
    if protocol is not None and protocol not in fit:
        raise Trouble(f"By {protocol} no order comes to {at}; by {', '.join(fit)} it does.")
    if mode == PARTITION and at != SPLITTING:
        raise Trouble(f"The network is parted at {SPLITTING} alone: there it splits an order.")
    return Row(protocol or fit[0], at, mode)


def listed() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """The points of each role: those of commits, those of sagas."""
    return {role: (OF_COMMITS[role], OF_SAGAS[role]) for role in OF_COMMITS}
