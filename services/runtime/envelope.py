"""The one shape of everything that travels through Kafka.

JSON in the structured mode of CloudEvents 1.0 (github.com/cloudevents/spec, `id source type subject
time data`), with `traceparent` (its Distributed Tracing extension) and extensions of our own:
`causationid`, the message that this one answers; `step`, which step of a saga a command runs or an
answer answers; `undoes`, the earlier step that a compensation undoes; `refusable`, that the saga can
live with a no; `resent`, that a successor sent what its writer left behind.
"""

from datetime import UTC, datetime
from typing import TypeVar
from zlib import crc32

import msgspec
from msgspec import Raw, Struct


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`subject` is what the message is about, and its Kafka key: equal subjects share a partition."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: Raw
    causationid: str = ""
    traceparent: str = ""
    step: str = ""
    undoes: str = ""
    refusable: bool = False
    resent: bool = False


class Outgoing(Struct, frozen=True, array_like=True):
    """An encoded envelope and where it goes: `subject` is its Kafka key."""

    topic: str
    subject: str
    value: bytes


LARGEST_HEAD = 4_000
"""Bytes of a message beside its data. Answers repeat parts of it, and Kafka takes a megabyte in all."""


class Malformed(ValueError):
    """These bytes are no envelope, or its data is not what its type says."""


M = TypeVar("M", bound=Struct)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)
_decoders: dict[type[Struct], msgspec.json.Decoder[Struct]] = {}


def seal(
    message: Struct,
    *,
    id: str,
    source: str,
    subject: str,
    cause: Envelope | None = None,
    traceparent: str = "",
    step: str = "",
    undoes: str = "",
    refusable: bool = False,
) -> Envelope:
    """Wraps `message`, stamped with the present time and, if it has a cause, with its trace."""
    return Envelope(
        specversion="1.0",
        id=id,
        source=f"/{source}",
        type=type(message).__name__,
        subject=subject,
        time=datetime.now(UTC),
        data=Raw(_encoder.encode(message)),
        causationid=cause.id if cause else "",
        traceparent=traceparent or (cause.traceparent if cause else ""),
        step=step,
        undoes=undoes,
        refusable=refusable,
    )


def encode(envelope: Envelope) -> bytes:
    return _encoder.encode(envelope)


def decode(value: bytes | None) -> Envelope:
    """Raises Malformed for anything that is not an envelope."""
    try:
        envelope = _decoder.decode(value or b"")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(f"not an envelope: {error}") from error
    if len(value or b"") - len(envelope.data) > LARGEST_HEAD:
        raise Malformed(f"not an envelope: more than {LARGEST_HEAD} bytes beside its data")
    return envelope


def mark_resent(value: bytes) -> bytes:
    """One of our own messages, whatever its size, as its writer's successor sends it."""
    return encode(msgspec.structs.replace(_decoder.decode(value), resent=True))


def open_as(envelope: Envelope, kind: type[M]) -> M:
    """The message inside, checked against its type. Raises Malformed."""
    decoder = _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    try:
        message = decoder.decode(envelope.data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(f"not a {kind.__name__}: {error}") from error
    assert isinstance(message, kind)
    return message


def shard_of(subject: str, shards: int) -> int:
    """The partition of a subject, the same in every topic and every process (Python's hash is not)."""
    return crc32(subject.encode()) % shards
