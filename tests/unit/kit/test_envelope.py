# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tongban.events.v1.steps_pb2 import StepAnswered
from tongban.licenses.v1.licenses_events_pb2 import LicenseIssued

from services.kit.envelope import (
    Envelope,
    EnvelopeMalformed,
    current_envelope,
    decode,
    handling,
    pack,
    service_topic,
    topic_of,
    unpack,
)

ENVELOPE = Envelope(
    event_id="e-1",
    source="/tongban/licenses",
    type="tongban.licenses.v1.LicenseIssued",
    subject="case-1",
    occur_time=datetime(2026, 11, 23, 8, 30, 0, 123456, tzinfo=UTC),
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    correlation="case-1",
    causation="e-0",
    topic="tongban.licenses.events.v1",
)


def test_an_envelope_comes_out_as_it_went_in() -> None:
    record = replace(pack(ENVELOPE, b"x"), partition=3, offset=17)
    assert unpack(record) == replace(ENVELOPE, partition=3, offset=17)


def test_the_key_of_the_record_is_the_subject() -> None:
    assert pack(ENVELOPE, b"x").key == "case-1"


def test_what_is_not_there_is_not_sent() -> None:
    record = pack(replace(ENVELOPE, traceparent="", correlation="", causation=""), b"x")
    assert not {"traceparent", "correlation", "causation"} & {name for name, _ in record.headers}
    assert unpack(record).correlation == ""


@pytest.mark.parametrize("missing", ["ce_id", "ce_type", "ce_source", "ce_time", "ce_specversion"])
def test_a_record_without_a_mandatory_header_is_no_envelope(missing: str) -> None:
    record = pack(ENVELOPE, b"x")
    with pytest.raises(EnvelopeMalformed):
        unpack(replace(record, headers=tuple(each for each in record.headers if each[0] != missing)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_id", b"\xff\xfe"),
        ("ce_time", b"yesterday"),
        ("ce_time", b"2026-11-23T08:30:00"),
        ("ce_specversion", b"0.3"),
        ("ce_id", b""),
        ("traceparent", b"\xff"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(name: str, value: bytes) -> None:
    record = pack(ENVELOPE, b"x")
    headers = tuple((each, value if each == name else raw) for each, raw in record.headers)
    with pytest.raises(EnvelopeMalformed):
        unpack(replace(record, headers=headers))


def test_bytes_that_are_no_such_message_are_refused() -> None:
    with pytest.raises(EnvelopeMalformed):
        decode(StepAnswered, b"\xff\xff\xff\xff")


def test_the_event_in_hand_is_known_to_what_it_causes() -> None:
    assert current_envelope() is None
    with handling(ENVELOPE):
        assert current_envelope() is ENVELOPE
    assert current_envelope() is None


def test_a_fact_s_topic_is_its_service_s() -> None:
    assert topic_of(LicenseIssued) == topic_of(LicenseIssued()) == service_topic("licenses")
