# SPDX-License-Identifier: Apache-2.0
"""Spans as the console keeps them, read from OTLP (opentelemetry-proto, trace/v1)."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

Value = str | int | float | bool | list["Value"] | None

CASE_ATTRIBUTE: Final = "tongban.case"
KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
SPANS_MAX: Final = 2_000
"""Spans of one export; senders batch 512 unless told otherwise."""
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_NAME_MAX: Final = 200
_VALUE_MAX: Final = 1000
_ATTRIBUTES_MAX: Final = 64
_LINKS_MAX: Final = 64
_DEPTH_MAX: Final = 4
_NANOS_MAX: Final = 2**63 - 1


class TracesMalformed(ValueError):  # noqa: N818 - it states what is so
    """The bytes are no ExportTraceServiceRequest."""


class TracesTooMany(ValueError):  # noqa: N818 - it states what is so
    """One export holds more spans than are taken at once."""


@dataclass(frozen=True, slots=True)
class Link:
    """A related span, e.g. the one that led to a message."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Span:
    """One span; ids are hexadecimal, times nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_id: str
    """Empty for a root."""
    service: str
    instance: str
    name: str
    kind: str
    """`internal`, `server`, `client`, `producer` or `consumer`."""
    start_ns: int
    end_ns: int
    status: str
    """`unset`, `ok` or `error`."""
    message: str
    """Why it failed; empty otherwise."""
    attributes: Mapping[str, Value]
    links: tuple[Link, ...]

    @property
    def case_id(self) -> str:
        """Give the case that it was done for; empty outside a case."""
        found = self.attributes.get(CASE_ATTRIBUTE, "")
        return found if isinstance(found, str) else ""

    def details(self) -> str:
        """Write what is not searched for as JSON."""
        return json.dumps(
            {
                "instance": self.instance,
                "message": self.message,
                "attributes": dict(self.attributes),
                "links": [[link.trace_id, link.span_id] for link in self.links],
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )


@dataclass(frozen=True, slots=True)
class Received:
    """What an export held: spans, and how many were no spans."""

    spans: tuple[Span, ...]
    rejected: int


def decode(payload: bytes) -> Received:
    """Read an export; a span without valid ids or times is counted as rejected.

    Raises:
        TracesMalformed: the bytes are no export.
        TracesTooMany: it holds more than `SPANS_MAX` spans; they are counted before the first is read.
    """
    try:
        request = ExportTraceServiceRequest.FromString(payload)
    except DecodeError as error:
        raise TracesMalformed("The body is no ExportTraceServiceRequest.") from error
    if sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans) > SPANS_MAX:
        raise TracesTooMany(f"An export may hold {SPANS_MAX} spans; send smaller batches.")
    found = list(_spans(request))
    kept = tuple(span for span in found if span is not None)
    return Received(spans=kept, rejected=len(found) - len(kept))


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span | None]:
    for resource_spans in request.resource_spans:
        resource = _attributes(resource_spans.resource.attributes)
        service = str(resource.get("service.name") or "unknown")[:_NAME_MAX]
        instance = str(resource.get("service.instance.id") or "")[:_NAME_MAX]
        for scope_spans in resource_spans.scope_spans:
            for wire in scope_spans.spans:
                yield _span(wire, service, instance)


def _span(wire: WireSpan, service: str, instance: str) -> Span | None:
    proper = (
        _is_id(wire.trace_id, _TRACE_BYTES)
        and _is_id(wire.span_id, _SPAN_BYTES)
        and (not wire.parent_span_id or len(wire.parent_span_id) == _SPAN_BYTES)
        and 0 < wire.start_time_unix_nano <= _NANOS_MAX
        and wire.end_time_unix_nano <= _NANOS_MAX
    )
    if not proper:
        return None
    return Span(
        trace_id=wire.trace_id.hex(),
        span_id=wire.span_id.hex(),
        parent_id=wire.parent_span_id.hex() if any(wire.parent_span_id) else "",
        service=service,
        instance=instance,
        name=wire.name[:_NAME_MAX],
        kind=KINDS[wire.kind] if 0 <= wire.kind < len(KINDS) else KINDS[0],
        start_ns=wire.start_time_unix_nano,
        end_ns=max(wire.start_time_unix_nano, wire.end_time_unix_nano),
        status={Status.STATUS_CODE_OK: "ok", Status.STATUS_CODE_ERROR: "error"}.get(wire.status.code, "unset"),
        message=wire.status.message[:_VALUE_MAX],
        attributes=_attributes(wire.attributes),
        links=tuple(
            Link(link.trace_id.hex(), link.span_id.hex())
            for link in wire.links[:_LINKS_MAX]
            if _is_id(link.trace_id, _TRACE_BYTES) and _is_id(link.span_id, _SPAN_BYTES)
        ),
    )


def _is_id(value: bytes, size: int) -> bool:
    return len(value) == size and any(value)


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for pair in pairs:
        if len(found) >= _ATTRIBUTES_MAX:
            break
        found[pair.key[:_NAME_MAX]] = _value(pair.value, 0)
    return found


def _value(value: AnyValue, depth: int) -> Value:
    kind = value.WhichOneof("value")
    if kind == "array_value" and depth < _DEPTH_MAX:
        return [_value(one, depth + 1) for one in value.array_value.values[:_ATTRIBUTES_MAX]]
    found = getattr(value, kind) if kind else None
    if isinstance(found, str):
        return found[:_VALUE_MAX]
    if isinstance(found, bytes):
        return found[: _VALUE_MAX // 2].hex()
    if isinstance(found, float):
        return found if math.isfinite(found) else str(found)
    return found if isinstance(found, bool | int) or found is None else f"({kind})"
