"""What arrives for a saga: the request to start it, and the answers of its participants."""

from dataclasses import dataclass

from orchestrator.commands import KIND_OF, STARTS
from orchestrator.core.journal import LogLine
from orchestrator.core.sagas import DEFINITIONS
from services.runtime.bus import Record
from services.runtime.envelope import Envelope, Malformed, decode, open_as
from services.runtime.ids import is_uuid
from services.runtime.inbox import Answer


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message to a saga: its start, or a participant's answer."""

    record: Record
    envelope: Envelope
    kind: str
    answer: Answer | None
    traced: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.envelope.subject, self.kind

    def line(self, node: str, at: float) -> LogLine:
        """What the saga's log keeps of it."""
        peer, peer_at = self.envelope.source.lstrip("/"), self.envelope.time.timestamp()
        if self.answer is None:
            return LogLine(at, node, "start", peer=peer, peer_at=peer_at)
        done = self.answer.outcome == "done"
        step, ask = self.envelope.step, self.envelope.causationid
        return LogLine(
            at, node, "answered", step, done, self.answer.reason, self.answer.detail, peer, peer_at, ask
        )


def read(record: Record) -> Arrival:
    """Raises Malformed for what is no message to a saga."""
    envelope = decode(record.value)
    if not is_uuid(envelope.subject):
        raise Malformed(f"the subject {envelope.subject!r} is no UUID in its usual form")
    if kind := KIND_OF.get(envelope.type):
        return Arrival(record, envelope, kind, None, open_as(envelope, STARTS[kind]).traced)
    if envelope.type != Answer.__name__:
        raise Malformed(f"a saga does not take {envelope.type!r}")
    kind = envelope.step.partition(".")[0]
    if kind not in DEFINITIONS:
        raise Malformed(f"no saga has a step {envelope.step!r}")
    return Arrival(record, envelope, kind, open_as(envelope, Answer))
