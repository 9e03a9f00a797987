"""What dedupes a message is kept for longer than the message can come."""

import re
from pathlib import Path
from uuid import UUID

from lab.audit.orders import RECORDS_KEPT
from services.contract import retention
from services.contract.retention import TOPIC_SETTINGS
from services.retention.chores import first_of
from services.runtime.idempotency import EXPIRES_AFTER_S
from services.runtime.ids import uuid7

BROKER = Path(__file__).parents[2] / "infra" / "kafka" / "server.properties"


def test_what_dedupes_a_message_outlasts_it() -> None:
    assert int(TOPIC_SETTINGS["retention.ms"]) == 1000 * retention.TOPICS_KEEP_S
    assert int(TOPIC_SETTINGS["segment.ms"]) == 1000 * retention.SEGMENT_S
    # Kafka looks for segments to delete every five minutes.
    assert retention.DELIVERABLE_S >= retention.TOPICS_KEEP_S + retention.SEGMENT_S
    assert retention.RECORDS_KEPT_S >= retention.DELIVERABLE_S + retention.DAY_S
    assert retention.RECORDS_KEPT_S > EXPIRES_AFTER_S


def test_a_topic_that_somebody_else_makes_keeps_its_messages_no_longer() -> None:
    hours = re.search(r"^log\.retention\.hours=(\d+)$", BROKER.read_text(), re.MULTILINE)
    assert hours and int(hours[1]) * 3600 == retention.TOPICS_KEEP_S


def test_the_audit_asks_for_nothing_that_may_be_forgotten() -> None:
    assert RECORDS_KEPT.total_seconds() < retention.RECORDS_KEPT_S


def test_what_was_made_before_is_below_and_what_was_made_later_above() -> None:
    made = UUID(uuid7())
    at = (made.int >> 80) / 1000
    assert first_of(at - 0.002) < made < first_of(at + 0.002)
