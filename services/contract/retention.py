"""How long messages can arrive, and how much longer everybody remembers what they did.

A message that comes again must find what it did the first time, so the second has to outlast the first.
"""

DAY_S = 24 * 3600

TOPICS_KEEP_S = 7 * DAY_S
"""Kafka's retention: enough to replay what happened lately."""

SEGMENT_S = DAY_S
"""Kafka deletes whole segments, a segment's length after its oldest message might have gone."""

DELIVERABLE_S = TOPICS_KEEP_S + SEGMENT_S
"""The oldest message that is acted on. Kafka has none that is older; a sender that was away might."""

MARGIN_S = 2 * DAY_S
"""For clocks that differ, and for what is under way."""

RECORDS_KEPT_S = DELIVERABLE_S + MARGIN_S
"""Bookkeeping is kept for so long after its order has ended: inboxes, commits, the logs of transactions."""

TOPIC_SETTINGS = {
    "retention.ms": str(TOPICS_KEEP_S * 1000),
    "segment.ms": str(SEGMENT_S * 1000),
    "message.timestamp.type": "LogAppendTime",  # a sender whose clock is ahead prolongs nothing
}
"""Of every topic, set when the topics are made, wherever the shop runs; in place of what was set by hand."""
