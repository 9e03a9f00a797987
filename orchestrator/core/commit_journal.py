"""The history of one transaction of two- or three-phase commit, computed from what its coordinator saw.

As in `journal.py`: the cores are deterministic, so the coordinator keeps only the events, and replaying
them gives back what was decided, what was made durable, and what was sent, with vector clocks. What a
participant did is placed between the request and its answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from orchestrator.core import commit
from orchestrator.core.clocks import Clocks, Entry, Kind
from orchestrator.core.commit import Ended, Event, Force, Outcome, Phase, Refuse, Send, Transaction, Turn
from orchestrator.core.exchange import Acked, Prepare, Round, Voted


class Core(Protocol):
    """What `two_phase` and `three_phase` have in common."""

    def begin(
        self, participants: tuple[str, ...], orders: tuple[str, ...], epoch: int, in_turn: bool = False
    ) -> Turn: ...
    def step(self, txn: Transaction, event: Event) -> Turn: ...
    def resume(self, txn: Transaction, epoch: int) -> Turn: ...


@dataclass(frozen=True, slots=True)
class Begun:
    """The transaction's first owner took it on."""

    participants: tuple[str, ...]
    orders: tuple[str, ...]
    epoch: int
    in_turn: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """Another owner took it over."""

    epoch: int


@dataclass(frozen=True, slots=True)
class ByHand:
    """An operator decided in the coordinator's place; and what the `participants` then said. The coordinator
    knows nothing of it until it asks them."""

    outcome: Outcome
    participants: tuple[str, ...]
    reason: str = ""
    found: tuple[str, ...] = ()  # the state of each; empty when they were about to be told


@dataclass(frozen=True, slots=True)
class Seen:
    """An event as the coordinator `node` saw it, at its own clock, in seconds since the epoch."""

    at: float
    node: str
    event: Event | Begun | Resumed | ByHand


def unfold(
    core: Core, transaction_id: str, seen: Sequence[Seen], earlier: Sequence[Entry] = ()
) -> tuple[Entry, ...]:
    """All that happened, in causal order. `earlier` is the order's history before; its clocks go on."""
    history = _History(transaction_id, Clocks({entry.role: entry.clock for entry in earlier}))
    txn: Transaction | None = None
    for line in seen:
        txn = history.saw(core, line, txn)
    history.noted_until(float("inf"))
    return tuple(history.clocks.entries)


@dataclass(slots=True)
class _History:
    id: str
    clocks: Clocks
    requests: dict[tuple[str, Round, str], Entry] = field(default_factory=dict)
    noted: list[Seen] = field(default_factory=list)
    """What operators did: it is in the log at once, before what the coordinator heard and has not forced."""

    def saw(self, core: Core, line: Seen, before: Transaction | None) -> Transaction | None:
        if isinstance(line.event, ByHand):
            self.noted.append(line)
            return before
        self.noted_until(line.at)
        sent = self._participant(line) if isinstance(line.event, Voted | Acked) else None
        after, effects = _replay(core, before, line.event)
        useful = bool(effects) or after != before
        kind, what = _told(line.event)
        self.clocks.add(line.at, line.node, "orchestrator", kind if useful else "late", what, sent=sent)
        ends = any(isinstance(effect, Ended) for effect in effects)
        for effect in effects:
            if isinstance(effect, Force | Ended) and self.noted:  # they were quicker
                line = replace(line, at=self.noted[-1].at)
                self.noted_until(float("inf"))
            if not (ends and isinstance(effect, Force)):  # one line for both
                self._effect(line, after, effect)
        return after

    def noted_until(self, at: float) -> None:
        while self.noted and self.noted[0].at <= at:
            line = self.noted.pop(0)
            assert isinstance(line.event, ByHand)
            self._by_hand(line, line.event)

    def _by_hand(self, line: Seen, event: ByHand) -> None:
        for name, state in zip(event.participants, event.found, strict=False):
            self.clocks.add(line.at, name, name, "state", f"{state}, resolved by hand")
        if not event.found:
            what = (
                f"an operator decides: {event.outcome} at {' and '.join(event.participants)} ({event.reason})"
            )
            self.clocks.add(line.at, line.node, "orchestrator", "received", what)

    def _effect(self, line: Seen, txn: Transaction, effect: commit.Effect) -> None:
        match effect:
            case Force() | Ended():
                self.clocks.add(line.at, line.node, "orchestrator", "state", _state(txn))
            case Refuse(refusal):
                what = f"{refusal.order} refused: {refusal.reason}"
                self.clocks.add(line.at, line.node, "orchestrator", "state", what)
            case Send(to, request):
                what = _name(request)
                id = f"{self.id}/{request.round.epoch}/{request.round.number}/{what}/{to}"
                entry = self.clocks.add(line.at, line.node, "orchestrator", "sent", what, id)
                self.requests[to, request.round, "vote" if isinstance(request, Prepare) else "ack"] = entry

    def _participant(self, line: Seen) -> Entry | None:
        """The request arrives, is carried out, and is answered."""
        answer = line.event
        assert isinstance(answer, Voted | Acked)
        of = "vote" if isinstance(answer, Voted) else "ack"
        request = self.requests.get((answer.participant, answer.round, of))
        if request is None:
            return None
        who, what = answer.participant, _told(answer)[1]
        self.clocks.add(line.at, who, who, "received", request.what, sent=request)
        self.clocks.add(line.at, who, who, "state", what)
        return self.clocks.add(line.at, who, who, "sent", what, f"{request.message_id}/answer")


def _replay(core: Core, txn: Transaction | None, event: Event | Begun | Resumed) -> Turn:
    match event:
        case Begun(participants, orders, epoch, in_turn):
            return core.begin(participants, orders, epoch, in_turn)
        case Resumed(epoch):
            assert txn is not None, "nothing is resumed before it has begun"
            return core.resume(txn, epoch)
        case _:
            assert txn is not None, "nothing happens before the transaction has begun"
            return core.step(txn, event)


def _told(event: Event | Begun | Resumed) -> tuple[Kind, str]:
    match event:
        case Begun(orders=orders):
            return "received", f"begin, {len(orders)} order{'s' if len(orders) > 1 else ''}"
        case Resumed(epoch):
            return "recovery", f"taken over, epoch {epoch}"
        case Voted(vote="no", refusals=refusals):
            return "received", "votes no: " + ", ".join(sorted({refusal.reason for refusal in refusals}))
        case Voted(vote=vote):
            return "received", f"votes {vote}"
        case Acked(state=state):
            return "received", str(state)
        case commit.TimedOut():
            return "timer", "timed-out"
        case commit.Expired():
            return "timer", "expired"
        case commit.RetryNow():
            return "received", "retry-now"


def _state(txn: Transaction) -> str:
    state = f"ended: {txn.outcome}" if txn.phase is Phase.ENDED else f"durable: {txn.phase}"
    return state + (f", mixed: not by {' and '.join(txn.mixed)}" if txn.mixed else "")


def _name(request: object) -> str:
    return {"PreCommit": "pre-commit"}.get(type(request).__name__, type(request).__name__.lower())
