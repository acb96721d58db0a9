# SPDX-License-Identifier: Apache-2.0
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.kit.telemetry import Telemetry, current_trace_id, current_traceparent, unrecorded

SECRET = "11010519491231002X"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def telemetry(spans: InMemorySpanExporter, ratio: float = 1.0) -> Telemetry:
    return Telemetry("probe", sample_ratio=ratio, processors=[SimpleSpanProcessor(spans)])


def test_spans_nest_and_the_current_one_can_be_passed_on(spans: InMemorySpanExporter) -> None:
    tracer = telemetry(spans)
    assert current_traceparent() == current_trace_id() == ""
    with tracer.span("outer"):
        outer = current_traceparent()
        with tracer.span("inner"):
            assert current_trace_id() == outer[3:35]
    inner, out = spans.get_finished_spans()
    assert inner.parent is not None
    assert out.context is not None
    assert f"{inner.parent.span_id:016x}" == outer[36:52]


def test_what_a_clock_begins_leaves_no_span_here_nor_where_it_calls(spans: InMemorySpanExporter) -> None:
    tracer = telemetry(spans)
    with unrecorded(), tracer.span("check"):
        passed_on = current_traceparent()
    assert passed_on.endswith("-00")
    with tracer.span("elsewhere", parent=passed_on):
        pass
    assert spans.get_finished_spans() == ()
    assert current_traceparent() == ""


def test_a_parent_and_links_from_elsewhere_are_kept(spans: InMemorySpanExporter) -> None:
    parent, link = f"00-{'a' * 32}-{'b' * 16}-01", f"00-{'c' * 32}-{'d' * 16}-01"
    with telemetry(spans).span("heard", parent=parent, links=[link, "nonsense"]):
        assert current_trace_id() == "a" * 32
    [span] = spans.get_finished_spans()
    assert [f"{one.context.trace_id:032x}" for one in span.links] == ["c" * 32]


def test_the_ratio_holds_for_new_traces_and_a_callers_decision_for_others(spans: InMemorySpanExporter) -> None:
    tracer = telemetry(spans, ratio=0)
    with tracer.span("new"):
        assert int(current_traceparent()[-2:], 16) & 1 == 0
    assert spans.get_finished_spans() == ()
    with tracer.span("chosen", parent=f"00-{'a' * 32}-{'b' * 16}-01"):
        pass
    assert len(spans.get_finished_spans()) == 1


def test_a_failed_span_names_the_class_and_not_the_message(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match=SECRET), telemetry(spans).span("work"):
        raise ValueError(SECRET)
    [span] = spans.get_finished_spans()
    assert span.status.description == "ValueError"
    assert SECRET not in span.to_json()
