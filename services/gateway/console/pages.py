# SPDX-License-Identifier: Apache-2.0
"""The console's pages: sign in, find a case, see a trace. Rendered here, without scripts."""

import math
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.gateway.console import session
from services.gateway.console.api import trace_of
from services.gateway.console.search import Search
from services.gateway.console.session import Attempts, Sessions, same_origin
from services.gateway.console.store import TraceStore
from services.gateway.console.texts import Texts
from services.gateway.console.waterfall import WIDTH, drawn
from services.gateway.service import GatewayService
from services.gateway.service.notices import NoticeDesk
from services.kit.caller import acting_as
from services.kit.errors import NotFound, Refusal, RightMissing, TooManyRequests, Unauthenticated, Unavailable

Page = Callable[[Request], Awaitable[Response]]

_HERE: Final = Path(__file__).parent
_PERSONA_GRANT: Final = "urn:tongban:params:oauth:grant-type:persona"
_SPANS_MAX: Final = 2000
_MESSAGES_MAX: Final = 100
_FORM_BYTES_MAX: Final = 16 * 1024
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_COLORED: Final = ("gateway", "identity", "licenses", "exchange")
_COLORS: Final = 10
_PACKAGE: Final = re.compile(r"^tongban\.[a-z]+\.v[0-9]+\.")
_CSP: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class Pages:
    """Everything that a browser is shown."""

    def __init__(
        self,
        service: GatewayService,
        sessions: Sessions,
        store: TraceStore,
        search: Search,
        attempts: Attempts,
        *,
        sandbox: bool,
        outbox: NoticeDesk | None = None,
    ) -> None:
        self._service = service
        self._sessions = sessions
        self._store = store
        self._search = search
        self._attempts = attempts
        self._sandbox = sandbox
        self._outbox = outbox
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"took": took, "moment": moment, "short": short}

    def guarded(self, page: Page) -> Page:
        """Take forms from our own pages only; show a refusal as a page; send who isn't signed in to the form."""

        async def shown(request: Request) -> Response:
            try:
                same_origin(request)
                return await page(request)
            except Unauthenticated:
                query = {"lang": "en"} if _texts(request).english else {}
                if request.url.path != "/console":
                    query["next"] = request.url.path
                return RedirectResponse(_with_query("/console/sign-in", query), status_code=303)
            except (Refusal, Unavailable) as error:
                return self._refused(request, error)

        return shown

    async def sign_in_form(self, request: Request) -> Response:
        """The form, and in the sandbox the accounts to choose from."""
        return await self._sign_in_page(request, _next(request.query_params.get("next", "")))

    async def sign_in(self, request: Request) -> Response:
        """Sign in with a token, or as an account of the sandbox; an address may fail so many times a minute."""
        form = await _form(request)
        wanted = _next(form.get("next", ""))
        try:
            with self._attempts.attempt(request.client.host if request.client else "unknown"):
                token = form.get("token", "").strip() or await self._persona_token(form.get("persona", ""))
                await self._sessions.of(token)
        except (Unauthenticated, RightMissing, NotFound):
            return await self._sign_in_page(request, wanted, failed=True)
        query = {"lang": "en"} if form.get("lang") == "en" else {}
        response = RedirectResponse(_with_query(wanted, query), status_code=303)
        session.keep(response, request, token)
        return response

    async def sign_out(self, request: Request) -> Response:
        """Forget the token."""
        form = await _form(request)
        query = {"lang": "en"} if form.get("lang") == "en" else {}
        response = RedirectResponse(_with_query("/console/sign-in", query), status_code=303)
        session.forget(response)
        return response

    async def home(self, request: Request) -> Response:
        """Find a case by its receipt, or take one of the newest traces."""
        operator = await self._sessions.operator(request)
        wanted = request.query_params.get("receipt", "").strip()
        if _TRACE_ID.fullmatch(wanted):
            query = {"lang": "en"} if _texts(request).english else {}
            return RedirectResponse(_with_query(f"/console/traces/{wanted}", query), status_code=303)
        found, missing = None, False
        if wanted:
            try:
                found = await self._search.case(wanted, operator)
            except NotFound:
                missing = True
        recent = await self._store.recent()
        services = {service for trace in recent for service in trace.services}
        return self._page(
            request,
            "home.html",
            status=404 if missing else 200,
            found=found,
            missing=missing,
            recent=recent,
            outbox=self._outbox is not None,
            colors=colors(services),
        )

    async def trace(self, request: Request) -> Response:
        """One trace as a waterfall."""
        await self._sessions.operator(request)
        trace_id = request.path_params["trace_id"]
        spans = await trace_of(self._store, trace_id)
        return self._page(
            request,
            "trace.html",
            trace_id=trace_id,
            waterfall=drawn(spans),
            width=WIDTH,
            colors=colors(span.service for span in spans),
            cut=len(spans) if len(spans) >= _SPANS_MAX else 0,
        )

    async def outbox(self, request: Request) -> Response:
        """What the sandbox sent to nobody. Raises RightMissing without the right `gateway.notices`."""
        operator = await self._sessions.operator(request)
        assert self._outbox is not None
        with acting_as(operator):
            messages = await self._outbox.outbox(_MESSAGES_MAX)
        return self._page(request, "outbox.html", messages=messages)

    async def _persona_token(self, persona: str) -> str:
        if not self._sandbox or not persona:
            raise Unauthenticated("Neither a token nor an account was given.")
        return (await self._service.issue_token(grant_type=_PERSONA_GRANT, persona=persona)).access_token

    async def _sign_in_page(self, request: Request, wanted: str, *, failed: bool = False) -> Response:
        personas = [one for one in await self._service.personas() if one.role == "operator"] if self._sandbox else []
        status = 403 if failed else 200
        return self._page(
            request, "sign_in.html", status=status, signed_in=False, personas=personas, failed=failed, wanted=wanted
        )

    def _refused(self, request: Request, error: Refusal | Unavailable) -> Response:
        if isinstance(error, Unavailable):
            request.scope["tongban.reason"] = "UNAVAILABLE"
            return self._page(request, "refused.html", status=503, words="unavailable", detail="")
        request.scope["tongban.reason"] = error.reason
        status, words = _said(error)
        detail = f"{error.message} {error.remedy} ({error.reason})"
        page = self._page(request, "refused.html", status=status, words=words, detail=detail)
        if error.retry_after_seconds is not None:
            page.headers["retry-after"] = str(max(1, math.ceil(error.retry_after_seconds)))
        return page

    def _page(
        self, request: Request, template: str, *, status: int = 200, signed_in: bool = True, **values: Any
    ) -> Response:
        t = _texts(request)
        body = self._templates.get_template(template).render(
            t=t,
            lang="en" if t.english else "",
            here=request.url.path,
            receipt=request.query_params.get("receipt", ""),
            other=_with_query(request.url.path, _other_language(request, english=t.english)),
            link=lambda path, **query: _with_query(path, {**query, **({"lang": "en"} if t.english else {})}),
            signed_in=signed_in,
            **values,
        )
        headers = {
            "content-security-policy": _CSP,
            "content-language": t("language"),
            "cache-control": "no-store",
            "referrer-policy": "same-origin",  # With "no-referrer" browsers call the origin of our own forms "null".
        }
        return Response(body, status_code=status, media_type="text/html", headers=headers)


def _said(refusal: Refusal) -> tuple[int, str]:
    """Give the status and the words of a refusal."""
    if isinstance(refusal, NotFound):
        return 404, "not_found"
    if isinstance(refusal, TooManyRequests):
        return 429, "too_many"
    return 403, "refused"


def took(nanoseconds: int) -> str:
    """Write a duration: `12.3 ms`, `1.20 s`, `2 min 5 s`."""
    microseconds = nanoseconds / 1e3
    if microseconds < 1e3:  # noqa: PLR2004 - a millisecond
        return f"{microseconds:.0f} µs"
    if microseconds < 1e6:  # noqa: PLR2004 - a second
        return f"{microseconds / 1e3:.1f} ms"
    if microseconds < 6e7:  # noqa: PLR2004 - a minute
        return f"{microseconds / 1e6:.2f} s"
    minutes, seconds = divmod(round(microseconds / 1e6), 60)
    return f"{minutes} min {seconds} s"


def moment(when: int | datetime) -> str:
    """Write a moment in UTC, from nanoseconds since 1970 or a datetime."""
    found = datetime.fromtimestamp(when / 1e9, UTC) if isinstance(when, int) else when.astimezone(UTC)
    return f"{found:%Y-%m-%d %H:%M:%S}.{found.microsecond // 1000:03d} UTC"


def colors(services: Iterable[str]) -> dict[str, str]:
    """Give each service the class of its color: the four services have their own, everybody else takes turns."""
    others = sorted(set(services) - set(_COLORED))
    turns = {service: f"svc-{turn % _COLORS}" for turn, service in enumerate(others)}
    return turns | {service: f"svc-{service}" for service in _COLORED}


def short(name: str) -> str:
    """Leave the package out of a method's name: the service beside it says as much."""
    return _PACKAGE.sub("", name)


def _texts(request: Request) -> Texts:
    return Texts(request.query_params.get("lang", ""))


def _other_language(request: Request, *, english: bool) -> dict[str, str]:
    query = {name: value for name, value in request.query_params.items() if name != "lang"}
    return query if english else {**query, "lang": "en"}


def _with_query(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _next(path: str) -> str:
    """Give where to go after the sign-in: a page of the console, never another site."""
    return path if re.fullmatch(r"/console(/traces/[0-9a-f]{32})?", path) else "/console"


async def _form(request: Request) -> dict[str, str]:
    body = await request.body()
    if len(body) > _FORM_BYTES_MAX:
        return {}
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=10))
    except ValueError:
        return {}
