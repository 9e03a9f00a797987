"""The history of one saga, computed from what its orchestrator saw.

A saga is deterministic, so its driver need only store the events, one `LogLine` each. Replaying them
through the same `begin`, `step` and `resume` gives back every message, state change and timer, here and
at the participants, and from these the vector clocks (`clocks.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.core import saga as core
from orchestrator.core.clocks import Clocks, Entry, Kind
from orchestrator.core.definition import Definition
from orchestrator.core.saga import Phase, Saga, Turn


@dataclass(frozen=True, slots=True)
class LogLine:
    """An event as its saga's driver saw it, in the order in which it stepped through them."""

    at: float  # seconds since the epoch, on the clock of `node`
    node: str  # the orchestrator, e.g. "orchestrator-1"
    event: Literal["start", "answered", "timed-out", "expired", "retry-now", "recovered"]
    step: str = ""  # answered: of which step; timed-out: the timer's token ("" means the current one)
    done: bool = True
    reason: str = ""
    detail: str = ""
    peer: str = ""  # start, answered: the process that sent the message, e.g. "inventory-2"
    peer_at: float = 0.0  # when it was sent, on the clock of `peer`; 0 means unknown
    note: str = ""  # answered: the id of the ask, if known; recovered: e.g. "epoch 7"


def unfold(
    definition: Definition, order_id: str, lines: Sequence[LogLine], earlier: Sequence[Entry] = ()
) -> tuple[Entry, ...]:
    """All that happened, in causal order, and of what is concurrent the earlier first.

    `earlier` is the history of the same order's previous saga; its clocks go on.
    """
    history = _History(definition, order_id, Clocks({e.role: e.clock for e in earlier}))
    silent = sorted({_Answer.of(line) for line in lines if line.event == "answered"}, key=_Answer.order)
    saga: Saga | None = None
    for line in lines:
        # A participant acts at the time it tells, but not before it is asked or after it is heard.
        now = [a for a in silent if a == _Answer.of(line) or (a.at < line.at and history.asked(a))]
        silent = [a for a in silent if a not in now]
        for answer in now:
            history.participant(answer)
        saga = history.orchestrator(line, saga)
    return tuple(history.clocks.entries)


@dataclass(frozen=True, slots=True)
class _Answer:
    """One message of a participant; when Kafka repeats it, two log lines tell of the same one."""

    at: float
    peer: str
    step: str
    outcome: str
    ask_id: str

    @classmethod
    def of(cls, line: LogLine) -> "_Answer":
        outcome = "done" if line.done else f"refused: {line.reason}"
        return cls(line.peer_at or line.at, line.peer, line.step, f"{line.step} {outcome}", line.note)

    def order(self) -> tuple[float, str, str]:
        return self.at, self.step, self.ask_id


@dataclass(slots=True)
class _History:
    definition: Definition
    order_id: str
    clocks: Clocks
    asks: list[Entry] = field(default_factory=list)
    answers: dict[_Answer, Entry] = field(default_factory=dict)
    decided: set[str] = field(default_factory=set)  # steps; a second answer is read from the inbox

    def orchestrator(self, line: LogLine, before: Saga | None) -> Saga:
        """What arrived, what the saga made of it, and what it sent."""
        kind, what, sent = self._arrival(line)
        saga, effects = _replay(self.definition, before, line)
        useful = bool(effects) or saga != before or (before is not None and line.step in before.waiting)
        self.clocks.add(line.at, line.node, "orchestrator", kind if useful else "late", what, sent=sent)
        state = _state(self.definition, saga)
        if before is None or state != _state(self.definition, before):
            self.clocks.add(line.at, line.node, "orchestrator", "state", state)
        for ask in effects:
            if isinstance(ask, core.Ask):
                id_ = f"{self.order_id}/{ask.step}/{ask.attempt}"
                self.asks.append(self.clocks.add(line.at, line.node, "orchestrator", "sent", ask.step, id_))
        return saga

    def participant(self, answer: _Answer) -> None:
        """The ask arrives, is decided unless it was before, and is answered."""
        ask = self.asked(answer) or next((a for a in reversed(self.asks) if a.what == answer.step), None)
        if ask is None:
            return  # never asked: the saga will find that it makes no sense
        role = next(s.participant for s in self.definition.asked() if s.name == answer.step)
        self.clocks.add(answer.at, answer.peer, role, "received", answer.step, sent=ask)
        if answer.step not in self.decided:
            self.clocks.add(answer.at, answer.peer, role, "state", answer.outcome)
            self.decided.add(answer.step)
        id_ = f"{ask.message_id}/answer"
        self.answers[answer] = self.clocks.add(answer.at, answer.peer, role, "sent", answer.outcome, id_)

    def asked(self, answer: _Answer) -> Entry | None:
        """What is answered: the ask that the answer names, or else the latest that is not after it."""
        for ask in reversed(self.asks):
            named = answer.ask_id in ("", ask.message_id)
            if ask.what == answer.step and ask.at <= answer.at and named:
                return ask
        return None

    def _arrival(self, line: LogLine) -> tuple[Kind, str, Entry | None]:
        match line.event:
            case "start":
                what, at = f"{self.definition.kind}.start", line.peer_at or line.at
                self.clocks.add(at, line.peer, "order", "state", f"{self.definition.kind} accepted")
                id_ = f"{self.order_id}/{what}/1"
                return "received", what, self.clocks.add(at, line.peer, "order", "sent", what, id_)
            case "answered":
                answer = _Answer.of(line)
                return "received", answer.outcome, self.answers.get(answer)
            case "timed-out" | "expired":
                return "timer", line.event, None
            case "retry-now":
                return "received", line.event, None
            case "recovered":
                return "recovery", f"recovered {line.note}".strip(), None


def _replay(definition: Definition, saga: Saga | None, line: LogLine) -> Turn:
    if saga is None:
        assert line.event == "start", f"a saga's log begins with its start, not with {line.event}"
        return core.begin(definition)
    match line.event:
        case "start":
            return saga, ()  # Kafka has repeated the request
        case "answered":
            return core.step(definition, saga, core.Answered(line.step, line.done, line.reason, line.detail))
        case "timed-out":
            return core.step(definition, saga, core.TimedOut(line.step or core.token(saga)))
        case "expired":
            return core.step(definition, saga, core.Expired())
        case "retry-now":
            return core.step(definition, saga, core.RetryNow())
        case "recovered":
            return saga, core.resume(definition, saga)


def _state(definition: Definition, saga: Saga) -> str:
    match saga.phase:
        case Phase.FORWARD:
            return f"forward, stage {saga.stage + 1} of {len(definition.stages)}"
        case Phase.COMPENSATING | Phase.CLOSING:
            return f"{saga.phase}: {saga.reason}"
        case Phase.ENDED:
            return f"ended: {saga.outcome}"
