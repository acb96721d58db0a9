# SPDX-License-Identifier: Apache-2.0
"""Who is at the console: an operator by bearer token (API) or by the cookie that holds one (pages)."""

from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from services.kit.caller import Caller, CallerKind
from services.kit.errors import RightMissing, Unauthenticated
from services.kit.tokens import Claims

COOKIE: Final = "tongban_console"
RIGHT: Final = "gateway.cases"
_PATH: Final = "/console"


class Verifier(Protocol):
    """Tells what a bearer token says; `services.kit.tokens.TokenVerifier` is one."""

    async def verify(self, token: str) -> Claims:
        """Verify an access token. Raises Unauthenticated; Unavailable where the keys can't be had."""
        ...


class OperatorUnknown(Unauthenticated):
    """The console is for operators who are signed in."""


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


def keep(response: Response, request: Request, token: str) -> None:
    """Keep the token in the browser: out of reach of scripts and of other sites, until the browser closes."""
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, token, path=_PATH, httponly=True, samesite="strict", secure=secure)


def forget(response: Response) -> None:
    """Let the browser forget the token."""
    response.delete_cookie(COOKIE, path=_PATH, httponly=True, samesite="strict")
