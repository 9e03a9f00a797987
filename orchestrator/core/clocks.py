"""Vector clocks, and the entries of a history that bear them.

C. Fidge, ACSC 1988; F. Mattern, "Virtual time and global states of distributed systems", 1988: one
component a role; every event ticks its own role's; a receive first takes the maximum with the clock of
its send. So one entry happened before another (L. Lamport, CACM 1978) exactly if its clock is less or
equal in every component.
"""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["received", "sent", "state", "timer", "recovery", "late"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the history. `late` is one that arrived when it could change nothing any more."""

    at: float
    node: str
    role: str
    kind: Kind
    what: str
    message_id: str
    clock: dict[str, int]


@dataclass(slots=True)
class Clocks:
    """Each role's vector clock, now, and the entries made so far."""

    now: dict[str, dict[str, int]]
    entries: list[Entry] = field(default_factory=list)

    def add(
        self, at: float, node: str, role: str, kind: Kind, what: str, id_: str = "", sent: Entry | None = None
    ) -> Entry:
        """The next event of `role`; `sent` is the send of which it is the receive."""
        clock = dict(self.now.get(role, {}))
        if sent is not None:
            clock = {r: max(clock.get(r, 0), sent.clock.get(r, 0)) for r in {**clock, **sent.clock}}
            id_ = sent.message_id
        clock[role] = clock.get(role, 0) + 1
        self.now[role] = clock
        self.entries.append(Entry(at, node, role, kind, what, id_, clock))
        return self.entries[-1]
