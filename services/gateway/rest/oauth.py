# SPDX-License-Identifier: Apache-2.0
"""`/oauth/token` (RFC 6749), the issuer's keys (RFC 7517) and its metadata (RFC 8414)."""

import json
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from services.gateway.rest.contract import answers, errors
from services.gateway.rest.door import Door, TheDoor, anybody
from services.gateway.rest.shapes.base import Shape
from services.kit.errors import Code, Refusal

PERSONA_GRANT: Final = "urn:tongban:params:oauth:grant-type:persona"
_FORM_BYTES_MAX = 8 * 1024
_FIELDS_MAX = 20

router = APIRouter(tags=["tokens"], dependencies=[Depends(anybody)])


class Token(Shape):
    """An access token (RFC 6749, 5.1)."""

    access_token: str = Field(description="JWT (RFC 9068), ES256.")
    token_type: str = Field(examples=["Bearer"])
    expires_in: int = Field(description="Seconds.", examples=[600])


class TokenError(Shape):
    """Why there is no token (RFC 6749, 5.2)."""

    error: str = Field(
        description="`invalid_request`, `invalid_grant`, `unsupported_grant_type` or `temporarily_unavailable`.",
        examples=["invalid_grant"],
    )
    error_description: str = Field(description="In words; ASCII.")


_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type", "persona"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": [PERSONA_GRANT]},
                        "persona": {"type": "string", "description": "Key of the persona.", "examples": ["mother-1"]},
                    },
                }
            }
        },
    }
}


@router.post(
    "/oauth/token",
    summary="Exchange a grant for an access token",
    operation_id="issue_token",
    response_model=Token,
    responses={
        200: answers("The token."),
        **errors(413),
        400: {"description": "No token; RFC 6749, section 5.2.", "model": TokenError},
        415: {"description": "The body is not a form.", "model": TokenError},
    },
    openapi_extra=_FORM,
)
async def issue_token(request: Request, door: TheDoor) -> Response:
    """The persona grant of the sandbox: `grant_type=urn:tongban:params:oauth:grant-type:persona&persona=mother-1`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        return _refused("invalid_request", "The body must be application/x-www-form-urlencoded.", status=415)
    form = _form(await request.body())
    if form is None or not form.get("grant_type"):
        return _refused("invalid_request", "The form needs grant_type once, and each field at most once.")
    if form["grant_type"] != PERSONA_GRANT or not door.sandbox:
        return _refused("unsupported_grant_type", "Only the persona grant is supported, and only in a sandbox.")
    if not form.get("persona"):
        return _refused("invalid_request", "The persona grant needs persona.")
    try:
        token = await door.service.issue_token(grant_type=PERSONA_GRANT, persona=form["persona"])
    except Refusal as refusal:
        return _of(request, refusal)
    body = {"access_token": token.access_token, "token_type": "Bearer", "expires_in": token.expires_in}
    return JSONResponse(body, headers={"cache-control": "no-store", "pragma": "no-cache"})


@router.get(
    "/.well-known/jwks.json",
    summary="The keys that verify access tokens",
    operation_id="get_jwks",
    response_model=dict[str, Any],
    responses={200: answers("A JWK set (RFC 7517)."), **errors()},
)
async def get_jwks(door: TheDoor) -> Response:
    """The public keys as a JWK set; look again where a token names an unknown `kid`."""
    keys = await door.service.jwks()
    return Response(keys.jwks_json, media_type="application/json", headers={"cache-control": "public, max-age=60"})


@router.get(
    "/.well-known/oauth-authorization-server",
    summary="What the token endpoint can do",
    operation_id="get_oauth_metadata",
    response_model=dict[str, Any],
    responses={200: answers("Metadata (RFC 8414)."), **errors()},
)
async def get_metadata(request: Request, door: TheDoor) -> Response:
    """Metadata of the authorization server; addresses are those that the request came to."""
    return JSONResponse(await _metadata(request, door))


async def _metadata(request: Request, door: Door) -> dict[str, Any]:
    base = str(request.base_url).rstrip("/")
    return {
        "issuer": (await door.service.jwks()).issuer,
        "token_endpoint": f"{base}/oauth/token",
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "response_types_supported": [],
        "grant_types_supported": [PERSONA_GRANT] if door.sandbox else [],
        "token_endpoint_auth_methods_supported": ["none"],
        "service_documentation": f"{base}/docs",
        "ui_locales_supported": ["zh", "en"],
    }


def _form(body: bytes) -> dict[str, str] | None:
    """Read a form; None where it is malformed or says a field twice (RFC 6749, 3.2)."""
    if len(body) > _FORM_BYTES_MAX:
        raise HTTPException(413)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict")
    except ValueError:
        return None
    form = dict(pairs)
    return form if len(form) == len(pairs) else None


def _of(request: Request, refusal: Refusal) -> Response:
    """Say a refusal in OAuth's words; what isn't about the grant stays what it is."""
    if refusal.code in {Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}:
        raise refusal
    request.scope["tongban.reason"] = refusal.reason
    return _refused("invalid_grant", "There is no such persona.")


def _refused(error: str, description: str, *, status: int = 400) -> Response:
    body = json.dumps({"error": error, "error_description": description})
    return Response(body, status_code=status, media_type="application/json", headers={"cache-control": "no-store"})
