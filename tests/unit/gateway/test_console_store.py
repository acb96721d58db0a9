# SPDX-License-Identifier: Apache-2.0
"""Spans from OTLP bytes into the ring and out again, and the drawing of a trace."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from services.gateway.console.spans import Span, TracesMalformed, decode
from services.gateway.console.store import TraceStore
from services.gateway.console.waterfall import WIDTH, drawn
from services.kit.errors import StartupError
from tests.support.otlp import CASE, exported


def span(number: int, parent: int = 0, *, start: int = 0, end: int = 100, trace: str = "a" * 32) -> Span:
    return Span(
        trace_id=trace,
        span_id=f"{number:016x}",
        parent_id=f"{parent:016x}" if parent else "",
        service="gateway",
        instance="1",
        name=f"span {number}",
        kind="internal",
        start_ns=1_000 + start,
        end_ns=1_000 + end,
        status="unset",
        message="",
        attributes={},
        links=(),
    )


def test_an_export_is_read_with_its_tree_links_and_failures() -> None:
    received = decode(exported())
    assert received.rejected == 0
    by_name = {span.name: span for span in received.spans}
    request, consume, issue = by_name["POST /api/v1/cases"], by_name["consume"], by_name["issue"]
    assert (request.service, request.kind, request.parent_id, request.case_id) == ("gateway", "server", "", CASE)
    assert request.attributes == {"tongban.case": CASE, "n": 3}
    assert (consume.service, consume.kind, consume.parent_id) == ("licenses", "consumer", request.span_id)
    assert [link.span_id for link in consume.links] == [request.span_id]
    assert (issue.status, issue.message) == ("error", "KeyError")
    assert issue.trace_id == request.trace_id
    assert len(request.trace_id) == 32


def test_bytes_that_are_no_export_are_refused_and_spans_without_ids_are_counted() -> None:
    with pytest.raises(TracesMalformed):
        decode(b"\xff\xff\xff")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(exported())
    scopes = request.resource_spans[0].scope_spans[0]
    scopes.spans.add(name="no ids", start_time_unix_nano=1)
    scopes.spans.add(name="zero", trace_id=bytes(16), span_id=bytes(8), start_time_unix_nano=1)
    scopes.spans.add(name="no time", trace_id=b"t" * 16, span_id=b"s" * 8)
    scopes.spans.add(name="far", trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=2**64 - 1)
    received = decode(request.SerializeToString())
    assert (len(received.spans), received.rejected) == (3, 4)


async def test_spans_come_back_as_they_were_and_are_found_by_their_case() -> None:
    async with TraceStore.open() as store:
        spans = decode(exported()).spans
        await store.add(spans)
        await store.add(spans)  # A sender that repeats itself.
        trace_id = spans[0].trace_id
        assert sorted(await store.trace(trace_id), key=lambda one: one.span_id) == sorted(
            spans, key=lambda one: one.span_id
        )
        assert await store.traces_of_case(CASE) == (trace_id,)
        assert await store.traces_of_case("other") == ()
        assert await store.trace("f" * 32) == ()
        [summary] = await store.recent()
        assert (summary.spans, summary.services, summary.failed) == (3, ("gateway", "licenses"), True)
        assert summary.root == "POST /api/v1/cases"


async def test_the_oldest_spans_go_first() -> None:
    async with TraceStore.open(spans_max=100) as store:
        for batch in range(5):
            await store.add([span(batch * 50 + number + 1) for number in range(50)])
        assert await store.count() == 100
        kept = {one.name for one in await store.trace("a" * 32)}
        assert "span 250" in kept
        assert "span 150" not in kept


async def test_old_spans_go_by_age() -> None:
    async with TraceStore.open(spans_max=100, age_days_max=0) as store:
        await store.add([span(number + 1) for number in range(50)])
        await store.add([span(number + 51) for number in range(50)])
        assert await store.count() <= 50


async def test_two_processes_share_one_file_and_it_outlives_them(tmp_path: Path) -> None:
    path = str(tmp_path / "traces" / "ring.sqlite")
    async with TraceStore.open(path) as one, TraceStore.open(path) as other:
        await asyncio.gather(*(store.add([span(n + 1)]) for n, store in enumerate([one, other] * 10)))
        assert await one.count() == await other.count() == 20
    async with TraceStore.open(path) as again:
        assert await again.count() == 20


async def test_a_file_that_is_no_store_is_said_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ring.sqlite"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(StartupError, match=r"ring\.sqlite can't be opened"):
        async with TraceStore.open(str(path)):
            pass


def test_children_stand_below_their_parents_by_start() -> None:
    waterfall = drawn([span(3, 1, start=50), span(4, 2, start=20, end=30), span(2, 1, start=10, end=40), span(1)])
    assert [(row.span.name, row.depth) for row in waterfall.rows] == [
        ("span 1", 0),
        ("span 2", 1),
        ("span 4", 2),
        ("span 3", 1),
    ]
    assert [(row.x, row.width) for row in waterfall.rows] == [(0, WIDTH), (100, 300), (200, 100), (500, 500)]
    assert waterfall.ticks_ns == (0, 25, 50, 75, 100)


def test_what_lacks_a_parent_stands_as_a_root_and_says_so() -> None:
    waterfall = drawn([span(2, 9), span(1)])
    assert [(row.span.name, row.depth, row.orphan) for row in waterfall.rows] == [
        ("span 1", 0, False),
        ("span 2", 0, True),
    ]


def test_spans_that_point_at_one_another_are_still_drawn_once() -> None:
    own = span(7, 7)
    waterfall = drawn([span(1, 2), span(2, 1), own, span(3, 1)])
    assert sorted(row.span.name for row in waterfall.rows) == ["span 1", "span 2", "span 3", "span 7"]


def test_bars_stay_within_the_drawing() -> None:
    instant = replace(span(1), start_ns=2_000, end_ns=2_000)
    for spans in ([instant], [span(1), span(2, 1, start=100, end=100)], [span(n, n - 1) for n in range(1, 40)], []):
        for row in drawn(spans).rows:
            assert 0 <= row.x <= row.x + row.width <= WIDTH
            assert row.width >= 2
            assert row.depth <= 12
