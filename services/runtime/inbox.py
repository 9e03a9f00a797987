"""The inbox: a step of a saga takes effect at most once, and is always answered the same way.

One row in `inbox` per (subject, step), written in the transaction of the step's effect, holds the
answer. It settles the three anomalies of messages that are repeated, lost and overtaken, by the
sub-transaction barrier of DTM (github.com/dtm-labs/dtm, "barrier"):

- a *repeated* command finds its row and gets the recorded answer again;
- an *empty compensation* (undo before do) finds no row of the step it undoes, so it has nothing to undo:
  it writes that row itself, as refused, and is done;
- a *hanging* command (do after undo) finds the row that the compensation left, and is refused.

Two replicas that work on the same command at once collide on the primary key; the loser's transaction
is rolled back, and when it tries again it finds the winner's answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import asyncpg
from msgspec import Struct

from services.runtime.outbox import Transaction

RECALL = """
    SELECT i.subject::text AS subject, i.step, i.outcome, i.reason, i.detail
    FROM unnest($1::uuid[], $2::text[]) AS asked (subject, step) JOIN inbox i USING (subject, step)
"""
RECORD = """
    INSERT INTO inbox (subject, step, outcome, reason, detail)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
"""


@dataclass(frozen=True, slots=True)
class Step:
    """Which step a command runs for which subject and, for a compensation, which step it undoes."""

    subject: str
    step: str
    undoes: str = ""


class Answer(Struct, frozen=True):
    """`done`, or definitely `refused`: the step had no effect and never will have.

    What is not definite is not answered at all. This is also the message that goes back to the saga.
    """

    outcome: Literal["done", "refused"]
    reason: str = ""
    detail: str = ""


DONE = Answer("done")
UNDONE = Answer("refused", "undone", "the step was compensated before it ran")

Answers = Mapping[tuple[str, str], Answer]


async def recall(sql: asyncpg.Connection, steps: Sequence[Step]) -> dict[tuple[str, str], Answer]:
    """The answers already given, by (subject, step), to these steps and to the ones they undo."""
    keys = [(s.subject, s.step) for s in steps] + [(s.subject, s.undoes) for s in steps if s.undoes]
    rows = await sql.fetch(RECALL, [subject for subject, _ in keys], [step for _, step in keys])
    return {(r["subject"], r["step"]): Answer(r["outcome"], r["reason"], r["detail"]) for r in rows}


def settle(step: Step, known: Answers) -> Answers:
    """What the inbox alone decides about a step: nothing, or the answers to give and to record.

    Empty: the step is new, run it.
    """
    if answer := known.get((step.subject, step.step)):
        return {(step.subject, step.step): answer}
    if step.undoes and known.get((step.subject, step.undoes), UNDONE).outcome == "refused":
        return {(step.subject, step.undoes): UNDONE, (step.subject, step.step): DONE}
    return {}


def record(tx: Transaction, answers: Answers) -> None:
    """Writes answers given for the first time. The commit raises UniqueViolationError if another replica was
    first."""
    if answers:
        tx.write(
            RECORD,
            [subject for subject, _ in answers],
            [step for _, step in answers],
            [answer.outcome for answer in answers.values()],
            [answer.reason for answer in answers.values()],
            [answer.detail for answer in answers.values()],
        )
