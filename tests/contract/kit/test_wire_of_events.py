# SPDX-License-Identifier: Apache-2.0
"""The bytes that others read: CloudEvents by an independent library, and yesterday's leaves and heads."""

from datetime import UTC, datetime

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from services.kit.envelope import Envelope, pack, unpack
from services.kit.eventlog import Record
from services.kit.ledger import merkle
from services.kit.ledger.access import canonical, rfc3339


def test_an_independent_library_reads_our_events() -> None:
    record = pack(
        Envelope(
            event_id="8c7c3d4e-5d27-4f4e-9e3c-6a5f2f1f0a11",
            source="/tongban/identity",
            type="tongban.identity.v1.PersonRegistered",
            subject="s-1",
            occur_time=datetime(2026, 11, 23, 8, 30, tzinfo=UTC),
            correlation="case-1",
        ),
        b"\x0a\x03s-1\xff",
    )
    message = KafkaMessage(headers=dict(record.headers), key=record.key.encode(), value=record.value)
    event = from_binary(message, JSONFormat(), CloudEvent)
    assert event.get_id() == "8c7c3d4e-5d27-4f4e-9e3c-6a5f2f1f0a11"
    assert event.get_type() == "tongban.identity.v1.PersonRegistered"
    assert event.get_subject() == "s-1"
    assert event.get_time() == datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
    assert event.get_datacontenttype() == "application/protobuf"
    assert event.get_data() == b"\x0a\x03s-1\xff"


def test_yesterday_s_headers_still_decode() -> None:
    recorded = (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"8c7c3d4e-5d27-4f4e-9e3c-6a5f2f1f0a11"),
        ("ce_source", b"/tongban/exchange"),
        ("ce_type", b"tongban.events.v1.StepAnswered"),
        ("ce_subject", b"case-1"),
        ("ce_time", b"2026-11-23T08:30:00.000001Z"),
        ("content-type", b"application/protobuf"),
        ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("correlation", b"case-1"),
        ("causation", b"e-0"),
    )
    envelope = unpack(Record("tongban.exchange.events.v1", "case-1", b"", recorded, 2, 7))
    assert envelope.occur_time == datetime(2026, 11, 23, 8, 30, 0, 1, tzinfo=UTC)
    assert (envelope.correlation, envelope.causation, envelope.offset) == ("case-1", "e-0", 7)


def test_yesterday_s_leaf_still_has_its_hash() -> None:
    body = canonical(
        {
            "time": rfc3339(datetime(2026, 11, 23, 8, 30, tzinfo=UTC)),
            "operation": "exchange.query",
            "actor": "spiffe://tongban/service/gateway",
            "caller": "agency:1299010000000102XJ",
            "on_behalf_of": "1299010000000102XJ",
            "subject": "ab" * 32,
            "purpose": "birth",
            "basis": "Order 809 art. 19",
            "resource": "990100/12990100001/307001",
            "fields": ["status", "姓名"],
            "case": "case-1",
            "outcome": "answered",
            "digest": "",
        }
    )
    assert body.startswith(b'{"actor":"spiffe://tongban/service/gateway","basis":"Order 809 art. 19","caller":')
    assert b'"time":"2026-11-23T08:30:00.000000Z"}' in body
    assert "姓名".encode() in body
    assert merkle.leaf_hash(body).hex() == "48eae55441859a384f8ac71a8c697489fdfd9b48cb5c98433bfd93015f27dfa3"
