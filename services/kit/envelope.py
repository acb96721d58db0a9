# SPDX-License-Identifier: Apache-2.0
"""What every fact travels in: CloudEvents 1.0, Kafka binary mode, protobuf payload (protos/tongban/events/v1/envelope.proto)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.message import DecodeError, Message

from services.kit.eventlog import Record

_SPEC = b"1.0"
_CONTENT = b"application/protobuf"
_current: ContextVar["Envelope | None"] = ContextVar("current_envelope", default=None)


class EnvelopeMalformed(Exception):  # noqa: N818 - it states what is so
    """A record whose headers are no envelope: nobody of ours wrote it, and it can't be handled."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A fact in wire words, as a service's `encode` returns it for `tx.record(fact)`.

    The topic is always the recording service's own. `key` is the subject of the fact: facts of one key keep their order.
    `correlation` is the case, where there is one; empty takes that of the event being handled.
    """

    message: Message
    key: str
    correlation: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The headers of one delivered event. `event_id` is the guard's key: `await tx.first_sight(envelope.event_id)`."""

    event_id: str
    source: str
    type: str
    subject: str
    occur_time: datetime
    traceparent: str = ""
    correlation: str = ""
    causation: str = ""
    topic: str = ""
    partition: int = -1
    offset: int = -1


def service_topic(service: str) -> str:
    """The one topic that a service tells its facts on."""
    return f"tongban.{service}.events.v1"


def topic_of(message: Message | type[Message]) -> str:
    """The topic of the service whose package declares this fact: `tongban.<service>.v1.X` -> `tongban.<service>.events.v1`."""
    return service_topic(message.DESCRIPTOR.full_name.split(".")[1])


def current_envelope() -> Envelope | None:
    """The event being handled by this task; None outside a consumer."""
    return _current.get()


@contextmanager
def handling(envelope: Envelope) -> Iterator[None]:
    """Make `envelope` the cause of every fact recorded inside."""
    token = _current.set(envelope)
    try:
        yield
    finally:
        _current.reset(token)


def pack(envelope: Envelope, value: bytes) -> Record:
    """The record that carries `value` in binary mode; the partition is chosen by the log from the key."""
    headers = [
        ("ce_specversion", _SPEC),
        ("ce_id", envelope.event_id.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_subject", envelope.subject.encode()),
        ("ce_time", f"{envelope.occur_time.astimezone(UTC).isoformat()[:-6]}Z".encode()),
        ("content-type", _CONTENT),
    ]
    headers += [
        (name, text.encode())
        for name, text in (
            ("traceparent", envelope.traceparent),
            ("correlation", envelope.correlation),
            ("causation", envelope.causation),
        )
        if text
    ]
    return Record(topic=envelope.topic, key=envelope.subject, value=value, headers=tuple(headers))


def unpack(record: Record) -> Envelope:
    """The envelope of a delivered record.

    Raises:
        EnvelopeMalformed: a mandatory attribute is missing or no text, or the time is no RFC 3339 time.
    """
    headers: Mapping[str, bytes] = dict(record.headers)
    try:
        text = {name: raw.decode() for name, raw in headers.items() if name.startswith("ce_")}
        if text.get("ce_specversion") != "1.0":
            raise EnvelopeMalformed("The record is no CloudEvents 1.0 event in binary mode.")
        if not text["ce_id"] or not text["ce_type"]:
            raise EnvelopeMalformed("The event has no id or no type.")
        return Envelope(
            event_id=text["ce_id"],
            source=text["ce_source"],
            type=text["ce_type"],
            subject=text.get("ce_subject", record.key),
            occur_time=_time(text.get("ce_time", "")),
            traceparent=headers.get("traceparent", b"").decode(),
            correlation=headers.get("correlation", b"").decode(),
            causation=headers.get("causation", b"").decode(),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )
    except KeyError as missing:
        raise EnvelopeMalformed(f"The event has no {missing.args[0]} header.") from missing
    except ValueError as broken:  # UnicodeDecodeError is one
        raise EnvelopeMalformed("A header of the event is not readable.") from broken


def decode(message_type: type[Message], value: bytes) -> Message:
    """The fact itself.

    Raises:
        EnvelopeMalformed: the bytes are no such message.
    """
    try:
        return message_type.FromString(value)
    except DecodeError as broken:
        raise EnvelopeMalformed(f"The payload is no {message_type.DESCRIPTOR.full_name}.") from broken


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise EnvelopeMalformed("The event's time has no offset.")
    return moment.astimezone(UTC)
