# SPDX-License-Identifier: Apache-2.0
"""Access tokens (RFC 9068, ES256): verified once in five minutes, remembered by their hash meanwhile."""

import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Self

from joserfc import jwk, jwt
from joserfc.errors import JoseError
from tongban.identity.v1.identity_service_pb2 import GetJwksRequest
from tongban.identity.v1.identity_service_pb2_grpc import TokenServiceStub

from services.kit.caller import EVERY_RIGHT, Caller, CallerKind
from services.kit.clock import Clock, utc_now
from services.kit.errors import Unauthenticated, Unavailable
from services.kit.flight import Flight
from services.kit.rpc.peer import Peer

AUDIENCE: Final = "tongban"
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - the type of a token, not a token

_KEYS_SECONDS_MAX: Final = 300.0
_FETCH_SECONDS_MIN: Final = 5.0
_SKEW_SECONDS: Final = 5
_REMEMBERED_MAX: Final = 10_000
_REMEMBERED_SECONDS: Final = 300.0
_TOKEN_BYTES_MAX: Final = 8 * 1024
_ROLES: Final = {
    "citizen": CallerKind.CITIZEN,
    "clerk": CallerKind.CLERK,
    "operator": CallerKind.OPERATOR,
}


class TokenInvalid(Unauthenticated):
    """The token isn't one of ours, was changed, or isn't meant for us."""


class TokenExpired(Unauthenticated):
    """The token held once; sign in again."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. `expires` is in seconds since 1970."""

    kind: CallerKind
    subject: str
    rights: frozenset[str]
    agency: str
    client_id: str
    token_id: str
    expires: int


@dataclass(frozen=True, slots=True)
class KeySet:
    """The issuer's name and public keys (a JWK set as JSON)."""

    issuer: str
    jwks_json: str


class TokenVerifier:
    """Verifies tokens with the issuer's keys.

    Keys are fetched when needed, used for five minutes at most, and fetched again for an unknown key id, at most once
    in five seconds: forged key ids can't make us flood the issuer.
    """

    def __init__(self, fetch: Callable[[], Awaitable[KeySet]], *, clock: Clock = utc_now) -> None:
        self._flight = Flight(lambda _: fetch(), self._keep)
        self._clock = clock
        self._issuer = ""
        self._keys: dict[str, Any] = {}
        self._fetched = float("-inf")
        self._remembered: dict[bytes, tuple[Claims, float]] = {}

    @classmethod
    def of(cls, identity: Peer, *, itself: Caller | None = None, clock: Clock = utc_now) -> Self:
        """Verify with the keys of the identity service."""
        stub = identity.stub(TokenServiceStub)
        asker = itself or Caller(CallerKind.SERVICE, identity.service)

        async def fetch() -> KeySet:
            response = await identity.call(stub.GetJwks, GetJwksRequest(), timeout_seconds=3, caller=asker)
            return KeySet(issuer=response.issuer, jwks_json=response.jwks_json)

        return cls(fetch, clock=clock)

    async def verify(self, token: str) -> Claims:
        """Give what the token says.

        Raises:
            TokenInvalid: it isn't ours, or not for us.
            TokenExpired: it has ended.
            Unavailable: the issuer's keys can't be had.
        """
        claims = self.remembered(token)
        if claims is None:
            claims = await self._verified(token)
            self._remember(_fingerprint(token), claims)
            self._must_hold(claims)
        return claims

    def remembered(self, token: str) -> Claims | None:
        """Give what a token says that was verified before; None for another. Raises TokenInvalid, TokenExpired."""
        if len(token) > _TOKEN_BYTES_MAX:
            raise TokenInvalid("The access token is too long to be ours.")
        claims, until = self._remembered.get(_fingerprint(token), (None, 0.0))
        if claims is None or until < time.monotonic():
            return None
        self._must_hold(claims)
        return claims

    async def _verified(self, token: str) -> Claims:
        key = await self._key(_key_id(token))
        try:
            verified = jwt.decode(token, key, algorithms=["ES256"])
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise TokenInvalid("The access token is not one of ours.") from error
        if str(verified.header.get("typ", "")).removeprefix("application/") != TOKEN_TYPE:
            raise TokenInvalid("This is no access token.")
        return self._claims(verified.claims)

    def _claims(self, claims: dict[str, Any]) -> Claims:
        """Check who it is from and for; an end in the past is left to the caller, which says so in its own words."""
        try:
            audience = claims["aud"]
            if claims["iss"] != self._issuer or AUDIENCE not in ([audience] if isinstance(audience, str) else audience):
                raise TokenInvalid("The access token is not meant for this system.")
            expires, issued = int(claims["exp"]), int(claims["iat"])
            if issued > self._clock().timestamp() + _SKEW_SECONDS:
                raise TokenInvalid("The access token comes from the future.")
            return Claims(
                kind=_ROLES[claims["role"]],
                subject=_text(claims["sub"]),
                rights=frozenset(_text(right) for right in claims.get("rights", ())) - {EVERY_RIGHT},
                agency=str(claims.get("agency") or ""),
                client_id=str(claims.get("client_id") or ""),
                token_id=str(claims.get("jti") or ""),
                expires=expires,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TokenInvalid("The access token lacks what ours have.") from error

    async def _key(self, key_id: str) -> Any:
        now = time.monotonic()
        stale = now - self._fetched > _KEYS_SECONDS_MAX
        if stale or (key_id not in self._keys and now - self._fetched > _FETCH_SECONDS_MIN):
            await self._flight.answer("keys")
        key = self._keys.get(key_id)
        if key is None:
            raise TokenInvalid("The access token is signed by a key that is not ours.")
        return key

    def _keep(self, _: str, found: KeySet) -> None:
        keys = _read_keys(found.jwks_json)
        if keys.keys() != self._keys.keys():
            self._remembered.clear()  # what a withdrawn key has signed holds no longer
        self._keys = keys
        self._issuer = found.issuer
        self._fetched = time.monotonic()

    def _must_hold(self, claims: Claims) -> None:
        if claims.expires <= self._clock().timestamp():
            raise TokenExpired("The access token has expired.", remedy="Sign in again.")

    def _remember(self, fingerprint: bytes, claims: Claims) -> None:
        """Keep the newest ten thousand; a dict gives its oldest entry first."""
        self._remembered.pop(fingerprint, None)
        if len(self._remembered) >= _REMEMBERED_MAX:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[fingerprint] = claims, time.monotonic() + _REMEMBERED_SECONDS


def _fingerprint(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _key_id(token: str) -> str:
    try:
        head = jwt_header(token)
    except (JoseError, ValueError, TypeError, RecursionError) as error:  # the last: brackets without end
        raise TokenInvalid("The access token is malformed.") from error
    key_id = head.get("kid")
    if head.get("alg") != "ES256" or not isinstance(key_id, str):
        raise TokenInvalid("The access token is not signed as ours are.")
    return key_id


def jwt_header(token: str) -> dict[str, Any]:
    """Read the header of a compact JWS without trusting it."""
    from joserfc.util import urlsafe_b64decode  # noqa: PLC0415

    head = json.loads(urlsafe_b64decode(token.split(".", 1)[0].encode()))
    if not isinstance(head, dict):
        raise TypeError("a header is an object")
    return head


def _read_keys(jwks_json: str) -> dict[str, Any]:
    try:
        keys = json.loads(jwks_json)["keys"]
        return {key["kid"]: jwk.import_key(key) for key in keys if key.get("kty") == "EC"}
    except (JoseError, KeyError, TypeError, ValueError) as error:
        raise Unavailable("The issuer of access tokens gave keys that can't be read.") from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("text is wanted")
    return value
