# SPDX-License-Identifier: Apache-2.0
"""Traces: one tracer per service, W3C trace context, OTLP over HTTP. No span ever carries personal data.

Providers belong to their Telemetry and are never global: in the embedded profile four services share a process.
"""

import random
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import DEFAULT_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from services.kit.spans import SpanSender

__all__ = ["SpanKind", "Telemetry", "current_trace_id", "current_traceparent", "unrecorded"]

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LIMITS = SpanLimits(max_attributes=32, max_links=32, max_events=16, max_span_attribute_length=256)
_NOWHERE = otel_context.Context()
_UNSAMPLED = TraceFlags(TraceFlags.DEFAULT)


class Telemetry:
    """The tracer of one service. Ratio: the share of new traces that are recorded; a caller's decision is kept."""

    def __init__(
        self,
        service: str,
        *,
        otlp: str = "",
        otlp_token: str = "",
        sample_ratio: float = 1.0,
        instance: str = "",
        processors: Sequence[SpanProcessor] = (),
    ) -> None:
        self.service = service
        self._ratio = sample_ratio
        self._sender = SpanSender(f"{otlp}/v1/traces", otlp_token) if otlp else None
        instance = instance or secrets.token_hex(4)
        resource = Resource({"service.name": service, "service.namespace": "tongban", "service.instance.id": instance})
        self._provider = TracerProvider(
            sampler=DEFAULT_ON,  # `start` decides before the SDK is asked
            resource=resource,
            span_limits=_LIMITS,
            shutdown_on_exit=False,
        )
        for processor in (*processors, *([self._sender] if self._sender else [])):
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("tongban")

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, AttributeValue] | None = None,
        parent: str = "",
        links: Sequence[str] = (),
    ) -> Iterator[Span]:
        """Do the work inside as one span.

        Args:
            name: what is done, of few different values (`rpc.server` names, topics), never an id.
            kind: server, client, producer, consumer or internal.
            attributes: rpc.*, messaging.*, tongban.case, tongban.step; never personal data.
            parent: traceparent of the cause; "" for the current span; a malformed one (or "none") starts a trace.
            links: traceparents of related spans.

        An exception marks the span as failed with the name of its class: its message may hold what a span may not.
        """
        span = self.start(name, kind=kind, attributes=attributes, parent=parent, links=links)
        token = otel_context.attach(set_span_in_context(span))
        try:
            yield span
        except Exception as error:
            span.set_status(StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            otel_context.detach(token)
            span.end()

    def start(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, AttributeValue] | None = None,
        parent: str = "",
        links: Sequence[str] = (),
    ) -> Span:
        """Start a span that the caller ends; it isn't made the current one.

        What won't be recorded passes the SDK by: that costs 2 us instead of 5 to 12. A trace that starts here without
        being recorded still has an id, for the log lines and for those whom we call.
        """
        above = _span_context(parent) if parent else trace.get_current_span().get_span_context()
        if above is None or not above.is_valid:
            if self._ratio < 1 and random.random() >= self._ratio:  # noqa: S311 - sampling is no secret
                return _unrecorded()
            within = _NOWHERE
        elif not above.trace_flags & TraceFlags.SAMPLED:
            return NonRecordingSpan(above)
        else:
            within = set_span_in_context(NonRecordingSpan(above), _NOWHERE)
        linked = [Link(found) for found in map(_span_context, links) if found is not None]
        return self._tracer.start_span(name, context=within, kind=kind, attributes=attributes, links=linked or None)

    def flush(self, seconds: float = 0.5) -> None:
        """Send what is waiting; blocks at most this long."""
        if self._sender is not None:
            self._sender.force_flush(int(seconds * 1000))

    def close(self) -> None:
        """Send what is left and stop; takes at most a second, whether the receiver answers or not."""
        self._provider.shutdown()


def _unrecorded() -> Span:
    context = SpanContext(
        random.getrandbits(128) or 1, random.getrandbits(64) or 1, is_remote=False, trace_flags=_UNSAMPLED
    )
    return NonRecordingSpan(context)


@contextmanager
def unrecorded() -> Iterator[None]:
    """Do the work inside without spans, here and in the services that it calls: for what a clock begins."""
    nowhere = SpanContext(
        secrets.randbits(128) | 1, secrets.randbits(64) | 1, is_remote=True, trace_flags=TraceFlags(0)
    )
    token = otel_context.attach(set_span_in_context(NonRecordingSpan(nowhere)))
    try:
        yield
    finally:
        otel_context.detach(token)


def current_traceparent() -> str:
    """Give the current span as a W3C traceparent; "" outside a span."""
    return traceparent_of(trace.get_current_span())


def current_trace_id() -> str:
    """Give the current trace id, 32 hexadecimal digits; "" outside a trace."""
    found = trace.get_current_span().get_span_context()
    return f"{found.trace_id:032x}" if found.is_valid else ""


def traceparent_of(span: Span) -> str:
    """Give a span as a W3C traceparent; "" for one that isn't valid."""
    found = span.get_span_context()
    if not found.is_valid:
        return ""
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def _span_context(traceparent: str) -> SpanContext | None:
    """Read a traceparent (W3C Trace Context, 3.2); None where it is malformed, as the standard wants."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or traceparent.startswith("ff"):
        return None
    found = SpanContext(
        trace_id=int(match[1], 16), span_id=int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16))
    )
    return found if found.is_valid else None
