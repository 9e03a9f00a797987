"""UUID version 7 (RFC 9562 §5.7): ids that sort by time, so that new rows land on the same index pages."""

import os
import re
import time
from uuid import UUID

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def uuid7() -> str:
    """A new id: 48 bits of milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (
        milliseconds << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    )
    return str(UUID(int=value))


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in its usual form, the only one that compares equal as text."""
    return _UUID.fullmatch(text) is not None
