"""What arrives for a transaction: its start and, for a saga, the answers of its participants."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from orchestrator import transactions
from orchestrator.commands import KIND_OF, STARTS, Start
from orchestrator.coordinator import CORES
from orchestrator.core.journal import LogLine
from orchestrator.core.sagas import DEFINITIONS
from orchestrator.transactions import GROUPED
from services.contract import topics
from services.contract.commit import Protocol, Work
from services.contract.messages import StartOrder
from services.runtime.bus import Record
from services.runtime.envelope import Envelope, Malformed, decode, open_as, shard_of
from services.runtime.ids import is_uuid
from services.runtime.inbox import Answer

SAGA = "saga"
ORDERS_IN_A_GROUP = 50


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message to a saga: its start, or a participant's answer."""

    record: Record
    envelope: Envelope
    kind: str
    answer: Answer | None
    start: Start | None = None

    @property
    def traced(self) -> bool:
        return self.start is not None and self.start.traced

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
        start = open_as(envelope, STARTS[kind])
        if start.protocol != SAGA and start.protocol not in CORES:
            raise Malformed(f"there is no protocol {start.protocol!r}")
        return Arrival(record, envelope, kind, None, start)
    if envelope.type != Answer.__name__:
        raise Malformed(f"a saga does not take {envelope.type!r}")
    kind = envelope.step.partition(".")[0]
    if kind not in DEFINITIONS:
        raise Malformed(f"no saga has a step {envelope.step!r}")
    return Arrival(record, envelope, kind, open_as(envelope, Answer))


def transactions_of(arrivals: Iterable[Arrival]) -> list[transactions.Start]:
    """The transactions that these arrivals start, those of `2pc-group` together with their like. A start that
    is there twice, for its row of an outbox was adopted, starts one."""
    starts: list[transactions.Start] = []
    groups: dict[int, list[Arrival]] = {}
    for arrival in {arrival.key: arrival for arrival in arrivals}.values():
        assert arrival.start is not None
        shard = shard_of(arrival.envelope.subject, topics.PARTITIONS)
        if arrival.start.protocol == GROUPED and arrival.kind == "order":
            groups.setdefault(shard, []).append(arrival)
        else:
            starts.append(_transaction(shard, [arrival]))
    for shard, group in groups.items():
        firsts = range(0, len(group), ORDERS_IN_A_GROUP)
        starts += [_transaction(shard, group[first : first + ORDERS_IN_A_GROUP]) for first in firsts]
    return starts


def _transaction(shard: int, arrivals: Sequence[Arrival]) -> transactions.Start:
    first = arrivals[0]
    assert first.start is not None
    works = tuple(_work(arrival) for arrival in arrivals)
    protocol = cast(Protocol, first.start.protocol)  # `read` has checked it
    return transactions.Start(protocol, shard, works, first.envelope.traceparent)


def _work(arrival: Arrival) -> Work:
    order_id = arrival.envelope.subject
    match arrival.start:
        case StartOrder(customer_id, amount, currency, lines):
            return Work(order_id, "buy", customer_id, amount, currency, lines)
        case _:
            return Work(order_id, "cancel")
