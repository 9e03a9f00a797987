"""What coordinators and participants of two- and three-phase commit say to one another, over HTTP.

One call carries a batch, and its answer as many answers, in the same order. Pure data; see
`orchestrator/core/exchange.py` for what it means.
"""

from typing import Literal, get_args

import msgspec

from services.contract.messages import Line, Message

PATH = "/participant/batches"
"""Where every participant takes them. Not for the public: it asks for the participants' credential."""

DOUBTS_PATH, RESOLUTIONS_PATH = "/participant/doubts", "/participant/resolutions"
"""What a participant has prepared; and where it is told by hand what becomes of that. The same credential."""

Participant = Literal["order", "inventory", "payment"]

PARTICIPANTS: tuple[str, ...] = get_args(Participant)
"""In the order of election; `in_turn` asks in this order, too."""

Protocol = Literal["2pc", "2pc-group", "3pc"]
Verb = Literal["prepare", "pre-commit", "commit", "abort", "inquire"]


class Work(Message, frozen=True):
    """One order, with all that any participant needs of it to do its part, in one step.

    `buy` takes stock and money and confirms the order; `cancel` undoes what a confirmed order did.
    """

    order_id: str
    kind: Literal["buy", "cancel"]
    customer_id: str = ""
    amount: int = 0
    currency: str = ""
    lines: tuple[Line, ...] = ()


class Asked(Message, frozen=True):
    """A request about one round of one transaction. `work` is of a prepare only."""

    transaction: str
    epoch: int
    number: int
    protocol: Protocol
    verb: Verb
    work: tuple[Work, ...] = ()
    traceparent: str = ""


class Refused(Message, frozen=True):
    order_id: str
    reason: str
    detail: str = ""


class Told(Message, frozen=True):
    """`vote` answers a prepare, `state` everything else."""

    vote: Literal["", "yes", "no", "busy"] = ""
    refusals: tuple[Refused, ...] = ()
    state: Literal["", "initial", "waiting", "pre-committed", "committed", "aborted"] = ""
    recovering: bool = False


class Batch(Message, frozen=True):
    requests: tuple[Asked, ...]


class Answers(Message, frozen=True):
    answers: tuple[Told, ...]
    participant: str


_answers = msgspec.json.Decoder(Answers)


def read_answers(body: bytes, asked: int) -> tuple[Told, ...]:
    """Raises ValueError unless these are answers to so many requests."""
    answers = _answers.decode(body).answers
    if len(answers) != asked:
        raise ValueError(f"{len(answers)} answers to {asked} requests")
    return answers


class Waiter(Message, frozen=True):
    """A session of the participant's database that cannot go on, and what it is doing."""

    process: int  # Postgres's
    waits_s: float
    statement: str


class Doubt(Message, frozen=True):
    """A transaction that one participant has prepared, and whose end it does not know."""

    gid: str
    transaction: str
    epoch: int
    number: int
    prepared_s: float  # so long ago
    precommitted: bool
    tables: tuple[str, ...]  # in which it has locked rows
    waiters: tuple[Waiter, ...] = ()  # for those rows, or for somebody who waits for them


class Stranger(Message, frozen=True):
    """What somebody else has prepared in a participant's database; nobody here knows its end."""

    gid: str
    prepared_s: float
    tables: tuple[str, ...]
    waiters: tuple[Waiter, ...] = ()


class Doubts(Message, frozen=True):
    participant: str
    doubts: tuple[Doubt, ...]
    strangers: tuple[Stranger, ...] = ()


class Resolution(Message, frozen=True):
    """An operator's decision, in place of the coordinator's; `reason` in the operator's words."""

    transaction: str
    outcome: Literal["committed", "aborted"]
    reason: str


class Resolved(Message, frozen=True):
    """`state` is how it is then, as in `Told`; if it was not in doubt, nothing was done, and none is told."""

    participant: str
    was_in_doubt: bool
    state: str
