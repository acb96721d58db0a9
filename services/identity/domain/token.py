# SPDX-License-Identifier: Apache-2.0
"""Access tokens: which grants there are, and what a token says (RFC 6749 and RFC 9068)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.identity.domain.persona import Persona, Role
from services.kit.errors import Code, Refusal

PERSONA_GRANT = "urn:tongban:params:oauth:grant-type:persona"
AUDIENCE = "tongban"
TOKEN_HEADERS = {"typ": "at+jwt", "alg": "ES256"}


class UnsupportedGrantType(Refusal):
    """The grant type is unknown, or switched off here (RFC 6749, 5.2)."""

    code = Code.INVALID_ARGUMENT

    def __init__(self) -> None:
        super().__init__(
            "This grant type is not supported here.",
            remedy="Outside the sandbox no grant is offered yet.",
            metadata={"error": "unsupported_grant_type"},
        )


class InvalidGrant(Refusal):
    """Nobody can sign in with this grant (RFC 6749, 5.2)."""

    code = Code.INVALID_ARGUMENT

    def __init__(self) -> None:
        super().__init__("Nobody can sign in with this.", metadata={"error": "invalid_grant"})


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token."""

    value: str = field(repr=False)
    expire_time: datetime
    expires_in: int
    """Seconds."""


def check_grant(grant_type: str, *, sandbox: bool) -> None:
    """Only the persona grant, only in the sandbox."""
    if grant_type != PERSONA_GRANT or not sandbox:
        raise UnsupportedGrantType


def token_claims(
    persona: Persona, *, issuer: str, token_id: str, now: datetime, expires_in: int
) -> tuple[Mapping[str, object], datetime]:
    """The claims of RFC 9068, 2.2, with `role`, `rights` and `agency` beside them; and when the token ends."""
    issued = int(now.timestamp())
    claims: dict[str, object] = {
        "iss": issuer,
        "sub": persona.subject,
        "aud": AUDIENCE,
        "exp": issued + expires_in,
        "iat": issued,
        "jti": token_id,
        "client_id": f"tongban-sandbox-{persona.role}",
        "role": persona.role.value,
        "rights": [] if persona.role is Role.CITIZEN else list(persona.rights),
        "agency": persona.agency,
    }
    return claims, datetime.fromtimestamp(issued + expires_in, tz=now.tzinfo)
