"""Where a process can be made to die, or to wait: `ROLE@POINT`, and all of them are here.

The orchestrator's are those where its coordinator forces a transaction's new phase; a participant's are its
acts, each of which is one Postgres transaction (`orchestrator/core/participant.py`). Before one of them
nothing of it is durable; after it all is, and nobody has been told.
"""

from services.contract.commit import PARTICIPANTS

WHEN = ("before", "after")
FORCED = ("voting", "pre-committing", "committing", "aborting", "ended")
ACTS = ("work", "pre-commit", "commit", "rollback", "bury")

ORCHESTRATOR = "orchestrator"

POINTS: dict[str, tuple[str, ...]] = {
    ORCHESTRATOR: tuple(f"{when}-force:{phase}" for phase in FORCED for when in WHEN),
    **{role: tuple(f"{when}-{act}" for act in ACTS for when in WHEN) for role in PARTICIPANTS},
}

NAMES = tuple(f"{role}@{point}" for role, points in POINTS.items() for point in points)
