# SPDX-License-Identifier: Apache-2.0
"""Who is at the console: an operator by bearer token (API) or by the cookie that holds one (pages)."""

from contextlib import AbstractContextManager
from typing import Final, Protocol
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from services.kit.caller import Caller, CallerKind
from services.kit.errors import RightMissing, Unauthenticated
from services.kit.tokens import Claims

COOKIE: Final = "tongban_console"
RIGHT: Final = "gateway.cases"
_PATH: Final = "/console"
_READING: Final = frozenset({"GET", "HEAD"})


class Verifier(Protocol):
    """Tells what a bearer token says; `services.kit.tokens.TokenVerifier` is one."""

    async def verify(self, token: str) -> Claims:
        """Verify an access token. Raises Unauthenticated; Unavailable where the keys can't be had."""
        ...


class Attempts(Protocol):
    """Counts attempts to sign in that failed; the REST door's buckets are one."""

    def attempt(self, key: str) -> AbstractContextManager[None]:
        """Count the block for this key if it fails. Raises TooManyRequests with the seconds until the next."""
        ...


class OperatorUnknown(Unauthenticated):
    """The console is for operators who are signed in."""


class OriginForeign(RightMissing):
    """A page of another site, or none, sent this form: only our own pages may change anything in a browser's name."""


class Sessions:
    """Reads operators off requests. A session is its access token and ends with it; nothing is kept here."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def operator(self, request: Request) -> Caller:
        """Give the operator who asks. Raises Unauthenticated, or RightMissing for anybody else."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = request.cookies.get(COOKIE, "")
        if not token:
            raise OperatorUnknown("The console is for operators.", remedy="Sign in at /console/sign-in.")
        return await self.of(token.strip())

    async def of(self, token: str) -> Caller:
        """Give the operator whom a token stands for. Raises like `operator`."""
        claims = await self._verifier.verify(token)
        caller = Caller(kind=claims.kind, id=claims.subject, rights=claims.rights, agency=claims.agency, token=token)
        if caller.kind is not CallerKind.OPERATOR:
            raise RightMissing("The console is for operators.", remedy="Sign in as an operator.")
        caller.must(RIGHT)
        return caller


def same_origin(request: Request) -> None:
    """Refuse what changes something and doesn't come from a page of ours. Raises OriginForeign.

    Every browser names the origin of a form that it sends. Where a proxy ends TLS before us we see another scheme
    than the browser did, so host and port are compared alone.
    """
    if request.method in _READING:
        return
    origin, host = urlsplit(request.headers.get("origin", "")), request.headers.get("host", "")
    if origin.scheme not in {"http", "https"} or not host or origin.netloc.lower() != host.lower():
        raise OriginForeign(
            "The form was not sent by a page of this console.", remedy="Open the console and repeat it."
        )


def keep(response: Response, request: Request, token: str) -> None:
    """Keep the token in the browser: out of reach of scripts and of other sites, until the browser closes.

    The browser's own origin says whether its line is secure, also where a proxy ends TLS before us.
    """
    secure = request.headers.get("origin", "").startswith("https:")
    response.set_cookie(COOKIE, token, path=_PATH, httponly=True, samesite="strict", secure=secure)


def forget(response: Response) -> None:
    """Let the browser forget the token."""
    response.delete_cookie(COOKIE, path=_PATH, httponly=True, samesite="strict")
