# SPDX-License-Identifier: Apache-2.0
"""Turns everything that can be raised while answering into a problem."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from services.kit.errors import Refusal, Unavailable
from services.kit.http import problems
from services.kit.http.violations import violations_of

_HTTP: Mapping[int, tuple[str, str, str]] = {
    400: ("REQUEST_INVALID", "The request can't be read.", "Compare it with the contract at /docs."),
    404: ("ROUTE_NOT_FOUND", "There is nothing at this address.", "The addresses are listed at /docs."),
    405: ("METHOD_NOT_ALLOWED", "This address doesn't take that method.", "The header Allow lists what it takes."),
    408: ("BODY_TOO_SLOW", "The body took too long to arrive.", "Send it again over a better line."),
    413: ("BODY_TOO_LARGE", "The body is larger than this address takes.", "Send less."),
    416: (
        "RANGE_UNSATISFIABLE",
        "The range asks for no byte of the file.",
        "Content-Range tells how long the file is.",
    ),
    415: ("MEDIA_TYPE_UNSUPPORTED", "This address doesn't take that media type.", "Send application/json."),
}


def add_refusals(app: FastAPI) -> None:
    """Make the application answer every exception that says what is so; the rest is an incident (see watch.py)."""
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(Unavailable, _on_unavailable)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    request.scope["tongban.reason"] = error.reason
    return problems.of_refusal(error, conditional="if-match" in request.headers)


async def _on_unavailable(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unavailable)
    request.scope["tongban.reason"] = "UNAVAILABLE"
    return problems.of_unavailable(error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    request.scope["tongban.reason"] = "REQUEST_INVALID"
    return problems.problem(
        400,
        "REQUEST_INVALID",
        "The request breaks the contract.",
        remedy="Mend the fields that are named under violations; the contract is at /docs.",
        violations=violations_of(error.errors()),
    )


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason, detail, remedy = _HTTP.get(error.status_code, _HTTP[400])
    request.scope["tongban.reason"] = reason
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == 405 and (allowed := _allowed(request)):  # noqa: PLR2004 - RFC 9110
        headers["allow"] = allowed
    if error.status_code in {408, 413}:
        headers["connection"] = "close"  # The rest of the body is not worth waiting for.
    return problems.problem(error.status_code, reason, detail, remedy=remedy, headers=headers)


def _allowed(request: Request) -> str:
    """List every method that the address takes: the framework names those of the first route alone."""
    paths: Mapping[str, Mapping[str, Any]] = request.app.openapi()["paths"]
    for template, operations in paths.items():
        if compile_path(template)[0].fullmatch(request.url.path):
            return ", ".join(sorted(method.upper() for method in operations))
    return ""
