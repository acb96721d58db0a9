# SPDX-License-Identifier: Apache-2.0
"""How the routes describe themselves: error answers, headers, and the route class that keeps the media type."""

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Header, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from starlette.exceptions import HTTPException

from services.kit.errors import RequestInvalid, Violation
from services.kit.http.problems import MEDIA_TYPE

_DESCRIPTIONS = {
    400: "The request breaks the contract; `violations` name the fields.",
    401: "No token, or one that doesn't hold.",
    403: "The caller is known, but may not do this.",
    404: "There is no such thing of the caller's.",
    409: "The state of things doesn't allow it; `reason` says what is so.",
    412: "It has changed since the version in If-Match.",
    413: "The body is too large.",
    410: "There was such a thing, and it does not come back; the detail says why.",
    415: "The body is not JSON.",
    416: "Range asks for no byte of the file; Content-Range tells its length.",
    429: "Too many requests; Retry-After tells when to come again.",
    500: "Something broke; the detail names the incident.",
    503: "A part of the service does not answer just now; Retry-After tells when to come again.",
    504: "A part of the service did not answer in time.",
}
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}")
_ALWAYS = (400, 429, 500, 503, 504)
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "How to authenticate (RFC 6750).", "schema": {"type": "string"}}}

ETAG = {"ETag": {"description": "The case's version, in quotes.", "schema": {"type": "string"}, "example": '"3"'}}
LOCATION = {"Location": {"description": "Where the case is.", "schema": {"type": "string", "format": "uri-reference"}}}
LINK = {"Link": {"description": "The next page (RFC 8288, rel=next).", "schema": {"type": "string"}}}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors that a route may answer, beside those that every route may."""
    return {status: _error(status) for status in sorted({*_ALWAYS, *statuses})}


def _error(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": _DESCRIPTIONS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in {429, 503}:
        described["headers"] = _RETRY
    if status == 401:  # noqa: PLR2004 - RFC 9110
        described["headers"] = _CHALLENGE
    return described


def answers(description: str, headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe a good answer."""
    return {"description": description, **({"headers": dict(headers)} if headers else {})}


class JsonRoute(APIRoute):
    """A route that takes JSON or nothing (else 415), and only the parameters of its contract (else 400)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Put the checks in front of the handler."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None
        known = _queries(self.dependant)

        async def checked(request: Request) -> Response:
            given = request.query_params.multi_items()
            names = [name for name, _ in given]
            if not known.issuperset(names) or len(set(names)) < len(names):
                raise _parameters_invalid(names, known)
            if wrong := [name for name, value in given if "\0" in value]:  # No database takes it in a text.
                violations = [Violation(name, "May not hold the character NUL.") for name in wrong]
                raise RequestInvalid("The request breaks the contract.", violations=violations)
            media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if takes_body and media_type != "application/json":
                raise HTTPException(415, headers={"accept-post": "application/json"})
            return await handle(request)

        return checked


def _queries(dependant: Dependant) -> set[str]:
    """The names of a route's query parameters, those of what it depends on among them."""
    own = {parameter.alias for parameter in dependant.query_params}
    return own.union(*(_queries(each) for each in dependant.dependencies))


def _parameters_invalid(names: Sequence[str], known: set[str]) -> RequestInvalid:
    violations = [Violation(name, "May be given once only.") for name in sorted(known) if names.count(name) > 1]
    if not known.issuperset(names):
        violations.append(Violation("(query)", f"Takes only: {', '.join(sorted(known)) or 'nothing'}."))
    return RequestInvalid(
        "The request breaks the contract.", remedy="Leave unknown parameters out.", violations=violations
    )


IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="A key of your own, new for each intent, e.g. a UUID: the same key again gives the same answer, "
        "and one effect. 1 to 200 visible ASCII characters.",
        examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    ),
]


def _rfc3339(value: object) -> object:
    """Text alone: a number would be taken for seconds."""
    if isinstance(value, str) and not _MOMENT.match(value):
        raise ValueError("Must be a moment as RFC 3339 writes it.")
    return value


def _within_utc(value: datetime) -> datetime:
    """In UTC; the first and the last hours of the calendar have none."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("Must be a moment within years 1 to 9999.") from None


Instant = Annotated[AwareDatetime, BeforeValidator(_rfc3339), AfterValidator(_within_utc)]
"""A moment in a query, RFC 3339."""
IfMatch = Annotated[
    str,
    Header(
        alias="If-Match",
        max_length=100,
        pattern=r'^("[0-9]{1,9}"|\*)?$',
        description="ETag of the version that was read; 412 where it has changed since. Left out: no check.",
        examples=['"1"'],
    ),
]


def version_of(if_match: str) -> int | None:
    """The version that If-Match names; None for any."""
    return int(if_match.strip('"')) if if_match not in {"", "*"} else None


PageSize = Annotated[int, Query(ge=1, le=200, description="Rows at most.")]
PageToken = Annotated[
    str, Query(max_length=1000, description="`next_page_token` of the page before; empty for the first.")
]
