# SPDX-License-Identifier: Apache-2.0
"""`/console/api/traces`: what the pages show, as JSON, for operators' programs."""

import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.gateway.console.search import Search
from services.gateway.console.session import Sessions
from services.gateway.console.spans import Span
from services.gateway.console.store import TraceStore
from services.kit.errors import NotFound, RequestInvalid, Violation

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")


class TraceNotFound(NotFound):
    """No span of this trace is kept: it is too old, was not recorded, or has not arrived."""


class Api:
    """Reads traces. Every answer is for operators only."""

    def __init__(self, sessions: Sessions, store: TraceStore, search: Search) -> None:
        self._sessions = sessions
        self._store = store
        self._search = search

    async def trace(self, request: Request) -> Response:
        """One trace with its spans, by start."""
        await self._sessions.operator(request)
        spans = await trace_of(self._store, request.path_params["trace_id"])
        return JSONResponse({"trace_id": spans[0].trace_id, "spans": [_body(span) for span in spans]})

    async def traces(self, request: Request) -> Response:
        """Traces of a case, by receipt number or case id."""
        caller = await self._sessions.operator(request)
        wanted = request.query_params.get("receipt") or request.query_params.get("case") or ""
        if not wanted:
            raise RequestInvalid(
                "Say which case.",
                remedy="Give ?receipt= with a receipt number, or ?case= with a case id.",
                violations=[Violation("receipt", "Is required, or case.")],
            )
        found = await self._search.case(wanted, caller)
        return JSONResponse(
            {
                "case_id": found.case.case_id,
                "receipt": found.case.receipt,
                "status": found.case.status,
                "trace_id": found.case.trace_id,
                "traces": list(found.traces),
            }
        )


async def trace_of(store: TraceStore, trace_id: str) -> tuple[Span, ...]:
    """Give the spans of a trace. Raises TraceNotFound, also for what is no trace id."""
    spans = await store.trace(trace_id) if _TRACE_ID.fullmatch(trace_id) else ()
    if not spans:
        raise TraceNotFound(
            "No span of this trace is kept.",
            remedy="Spans arrive within seconds; traces that were not sampled or are too old are not kept.",
        )
    return spans


def _body(span: Span) -> dict[str, Any]:
    return {
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "service": span.service,
        "instance": span.instance,
        "name": span.name,
        "kind": span.kind,
        "start": span.start_ns,
        "end": span.end_ns,
        "status": span.status,
        "message": span.message,
        "attributes": dict(span.attributes),
        "links": [{"trace_id": link.trace_id, "span_id": link.span_id} for link in span.links],
    }
