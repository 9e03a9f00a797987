"""What two- and three-phase commit have done in this process, for /metrics."""

from collections.abc import Iterable

from prometheus_client import Counter

from orchestrator.core.commit_journal import Resumed, Seen
from orchestrator.core.exchange import Voted

FORCED = Counter("tradeoff_commit_records", "States of transactions made durable", ["protocol"])
ENDED = Counter("tradeoff_commit_ended", "Transactions that have ended", ["protocol", "outcome"])
MIXED = Counter("tradeoff_commit_mixed", "Those of which not all participants did the same", ["protocol"])
BUSY = Counter("tradeoff_commit_busy_votes", "Votes that lost a race: each costs a round", ["protocol"])
TAKEN_OVER = Counter("tradeoff_commit_takeovers", "Transactions resumed from another owner", ["protocol"])


def count(protocol: str, outcome: str, mixed: bool, log: Iterable[Seen]) -> None:
    """One record of a transaction is durable, and with it these lines."""
    FORCED.labels(protocol).inc()
    for seen in log:
        match seen.event:
            case Voted(vote="busy"):
                BUSY.labels(protocol).inc()
            case Resumed():
                TAKEN_OVER.labels(protocol).inc()
    if outcome:
        ENDED.labels(protocol, outcome).inc()
        MIXED.labels(protocol).inc(mixed)
