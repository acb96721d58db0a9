# SPDX-License-Identifier: Apache-2.0
"""Refusals as problems (RFC 9457): the one mapping from codes to HTTP, and the body that every error has.

No value of a request is ever repeated in a problem; fields are named, and their rule.
"""

import math
import re
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.kit.errors import Code, Refusal, Unavailable, Violation
from services.kit.telemetry import current_trace_id

MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[Code, int] = {
    Code.INVALID_ARGUMENT: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.FAILED_PRECONDITION: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}
"""What each code is in HTTP. VERSION_CONFLICT is 412 where the request said If-Match (RFC 9110, 13.1.1)."""

_RETRY_SECONDS = 1.0
_WORDS = re.compile(r"[A-Z][A-Z0-9_]{0,99}")


class ViolatedRule(BaseModel):
    """One field that breaks a rule. Names the field and the rule, never the value."""

    field: str = Field(description="Where: a path of names with dots, e.g. `answers.child_name`.")
    description: str = Field(description="The rule, in words.")


class Problem(BaseModel):
    """What every error is answered with (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:tongban:problem:case-not-found",
                    "title": "Case not found",
                    "status": 404,
                    "detail": "There is no such case of yours.",
                    "instance": "urn:tongban:trace:0af7651916cd43dd8448eb211c80319c",
                    "reason": "CASE_NOT_FOUND",
                    "remedy": "List your cases with GET /api/v1/cases.",
                    "violations": [],
                    "trace_id": "0af7651916cd43dd8448eb211c80319c",
                }
            ]
        }
    )

    type: str = Field(description="Stable name of the kind of problem: `urn:tongban:problem:` and the reason.")
    title: str = Field(description="The reason in words; the same for every problem of this type.")
    status: int = Field(description="The HTTP status, again.", ge=400, le=599)
    detail: str = Field(description="What is so in this case, one sentence for people.")
    instance: str = Field(default="", description="Names this one occurrence; tell it to the operator who helps.")
    reason: str = Field(description="Machine reason, UPPER_SNAKE; decide by this.")
    remedy: str = Field(default="", description="What to do about it; empty where nothing helps.")
    violations: list[ViolatedRule] = Field(default=[], description="Fields that break a rule.")
    trace_id: str = Field(default="", description="Trace of the request, 32 hexadecimal digits.")


def problem(
    status: int,
    reason: str,
    detail: str,
    *,
    remedy: str = "",
    violations: Sequence[Violation] = (),
    retry_after_seconds: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Render one problem."""
    if not _WORDS.fullmatch(reason):
        reason = "REFUSED"
    trace_id = current_trace_id()
    body = Problem(
        type=f"urn:tongban:problem:{reason.lower().replace('_', '-')}",
        title=reason.replace("_", " ").capitalize(),
        status=status,
        detail=detail,
        instance=f"urn:tongban:trace:{trace_id}" if trace_id else "",
        reason=reason,
        remedy=remedy,
        violations=[ViolatedRule(field=one.field, description=one.description) for one in violations],
        trace_id=trace_id,
    )
    rendered = Response(body.model_dump_json(), status_code=status, media_type=MEDIA_TYPE, headers=headers)
    if retry_after_seconds is not None:
        rendered.headers["retry-after"] = str(max(1, math.ceil(retry_after_seconds)))
    return rendered


def of_refusal(refusal: Refusal, *, conditional: bool = False) -> Response:
    """Render a refusal. `conditional`: the request said If-Match, so a changed version is a failed precondition."""
    status = STATUS[refusal.code]
    if conditional and refusal.reason == "VERSION_CONFLICT":
        status = 412
    retry = refusal.retry_after_seconds
    if retry is None and status in {429, 503}:
        retry = _RETRY_SECONDS
    headers = {}
    if status in {401, 403}:
        headers["www-authenticate"] = challenge(refusal)
    return problem(
        status,
        refusal.reason,
        refusal.message,
        remedy=refusal.remedy,
        violations=refusal.violations,
        retry_after_seconds=retry,
        headers=headers,
    )


def of_unavailable(unavailable: Unavailable) -> Response:
    """Render a dependency that doesn't answer. Which one is for operators, not for callers: the log line has it."""
    return problem(
        503,
        "UNAVAILABLE",
        "A part of the service does not answer just now.",
        remedy="Repeat the request after the time that Retry-After tells, with the same Idempotency-Key.",
        retry_after_seconds=unavailable.retry_after_seconds or _RETRY_SECONDS,
    )


def of_incident(incident: str) -> Response:
    """Render what nobody foresaw: an id that finds the log line, and nothing else."""
    rendered = problem(
        500,
        "INTERNAL",
        f"Something broke while answering. Incident {incident}.",
        remedy="Repeat the request with the same Idempotency-Key; if it stays so, tell the operator the incident.",
    )
    rendered.headers["connection"] = "close"
    return rendered


def challenge(refusal: Refusal) -> str:
    """Say how to authenticate (RFC 6750, section 3); the error is named only where a token was given."""
    if refusal.code is Code.PERMISSION_DENIED:
        right = refusal.metadata.get("right", "")
        scope = f', scope="{right}"' if re.fullmatch(r"[a-z._*]{1,100}", right) else ""
        return f'Bearer realm="tongban", error="insufficient_scope"{scope}'
    if refusal.reason == "TOKEN_MISSING":
        return 'Bearer realm="tongban"'
    return 'Bearer realm="tongban", error="invalid_token", error_description="The access token is not valid."'
