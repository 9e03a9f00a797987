"""Where a process can be made to die, to wait or to be slow: `ROLE@POINT`, and all of them are here.

By two- and three-phase commit, the orchestrator's are those where its coordinator forces a transaction's new
phase; a participant's are its acts, each of which is one Postgres transaction
(`orchestrator/core/participant.py`). Before one of them nothing of it is durable; after it all is, and nobody
has been told.

By a saga, everybody's are those of the messages that their transactions send, a command or the answer to one.
Before the transaction commits, nothing is durable; before the message is sent, it lies in the outbox; after
that it still lies there, and whoever comes next will send it again.
"""

from services.contract.commit import PARTICIPANTS

WHEN = ("before", "after")
FORCED = ("voting", "pre-committing", "committing", "aborting", "ended")
ACTS = ("work", "pre-commit", "commit", "rollback", "bury")

ORCHESTRATOR = "orchestrator"

MOMENTS = ("before-save", "before-send", "after-send")
STARTS = ("order.start", "cancel.start")
ANSWERED = {
    "order": ("order.confirm", "order.reject", "cancel.close"),
    "inventory": ("order.hold", "order.release", "order.ship", "cancel.restock"),
    "payment": ("order.charge", "order.refund", "cancel.refund"),
}
"""The steps of sagas, by who takes them."""

MESSAGES: dict[str, tuple[str, ...]] = {
    **ANSWERED,
    "order": (*STARTS, *ANSWERED["order"]),
    ORCHESTRATOR: tuple(step for steps in ANSWERED.values() for step in steps),
}
"""What each role sends through Kafka: the orchestrator asks for steps, the others answer."""

OF_COMMITS: dict[str, tuple[str, ...]] = {
    ORCHESTRATOR: tuple(f"{when}-force:{phase}" for phase in FORCED for when in WHEN),
    **{role: tuple(f"{when}-{act}" for act in ACTS for when in WHEN) for role in PARTICIPANTS},
}
OF_SAGAS: dict[str, tuple[str, ...]] = {
    role: tuple(f"{moment}:{message}" for message in messages for moment in MOMENTS)
    for role, messages in MESSAGES.items()
}
POINTS = {role: OF_COMMITS[role] + OF_SAGAS[role] for role in OF_COMMITS}

NAMES = tuple(f"{role}@{point}" for role, points in POINTS.items() for point in points)
