# SPDX-License-Identifier: Apache-2.0
"""A small trace of two services, as bytes of the real exporter."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.kit.telemetry import SpanKind, Telemetry, current_traceparent

CASE = "6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52"


@contextmanager
def tracing(service: str) -> Iterator[tuple[Telemetry, InMemorySpanExporter]]:
    spans = InMemorySpanExporter()
    telemetry = Telemetry(service, processors=[SimpleSpanProcessor(spans)])
    yield telemetry, spans
    telemetry.close()


def exported(case_id: str = CASE) -> bytes:
    """A request at the gateway that leads to a message at licenses, as the exporter sends it."""
    with tracing("gateway") as (gateway, ours), tracing("licenses") as (licenses, theirs):
        with gateway.span("POST /api/v1/cases", kind=SpanKind.SERVER, attributes={"tongban.case": case_id, "n": 3}):
            parent = current_traceparent()
        consume = licenses.span("consume", kind=SpanKind.CONSUMER, parent=parent, links=[parent])
        with consume, suppress(KeyError), licenses.span("issue"):
            raise KeyError
        return encode_spans([*ours.get_finished_spans(), *theirs.get_finished_spans()]).SerializeToString()
