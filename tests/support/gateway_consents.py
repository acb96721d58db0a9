# SPDX-License-Identifier: Apache-2.0
"""The exchange's consents and previews in memory, with its promises, for tests of the gateway."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.gateway.service import AgencyView, ConsentView, GiveConsent, NamedField, PreviewView, ResourceView
from services.kit.caller import current_caller
from services.kit.errors import Code, NotFound, Refusal
from services.kit.ids import derived_id
from services.kit.paging import Page, decode_token
from services.kit.text import Text

NOW = datetime(2026, 11, 23, 2, 10, tzinfo=UTC)
POLICE = AgencyView("public_security", "11990100000001046G", Text("公安局", "Public Security"))
HOSPITAL = AgencyView("hospital", "1299010000000102XJ", Text("安和医院", "Anhe Hospital"))
HOUSEHOLD = ResourceView("307002/000001", Text("居民户口簿", "Household register"))
ADDRESS = NamedField("address", Text("住址", "Address"))
PREVIEW = PreviewView(
    preview_id="6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b53",
    agency=HOSPITAL,
    provider=POLICE,
    resource=HOUSEHOLD,
    purpose="birth",
    case_id="990100/x/1",
    fields=(ADDRESS,),
    state="pending",
    requested=NOW,
    expires=NOW + timedelta(days=30),
)


class ConsentNotFound(NotFound):
    """As the exchange says it."""


class ResourceNotFound(NotFound):
    """As the exchange says it."""


class ConsentWithdrawn(Refusal):
    """As the exchange says it."""


class RequestIdReused(Refusal):
    """As the exchange says it."""

    code = Code.ALREADY_EXISTS


class PreviewNotFound(NotFound):
    """As the exchange says it."""


class PreviewNotPending(Refusal):
    """As the exchange says it."""


class PreviewTokenInvalid(Refusal):
    """As the exchange says it."""


class ConsentsFake:
    """Consents by resident; one preview that waits for everybody."""

    def __init__(self) -> None:
        self.given: dict[str, tuple[str, ConsentView]] = {}
        self.requests: dict[str, ConsentView] = {}
        self.state: dict[str, PreviewView] = {}
        self.decisions: dict[str, PreviewView] = {}
        self.looks = 0

    async def consents(self, page_size: int, page_token: str) -> Page[ConsentView]:
        decode_token(page_token)
        own = [view for owner, view in self.given.values() if owner == current_caller().id]
        return Page(tuple(own[::-1][:page_size]))

    async def give(self, command: GiveConsent, request_id: str) -> ConsentView:
        if command.resource != HOUSEHOLD.code:
            raise ResourceNotFound("There is no such resource in the catalogue.")
        view = ConsentView(
            consent_id=derived_id(request_id),
            grantee=HOSPITAL,
            provider=POLICE,
            resource=HOUSEHOLD,
            purpose=command.purpose,
            fields=tuple(NamedField(name, Text(name, name)) for name in command.fields),
            given=NOW,
            expires=command.expires,
            withdrawn=None,
        )
        before = self.requests.setdefault(request_id, view)
        if before != view:
            raise RequestIdReused("This request id came before, with another request.")
        self.given.setdefault(view.consent_id, (current_caller().id, view))
        return view

    async def withdraw(self, consent_id: str, request_id: str) -> ConsentView:
        owner, view = self.given.get(consent_id, ("", None))
        if view is None or owner != current_caller().id:
            raise ConsentNotFound("There is no such consent of yours.")
        if request_id in self.requests:
            return self.requests[request_id]
        if view.withdrawn is not None:
            raise ConsentWithdrawn("The consent was withdrawn before.")
        after = self.requests[request_id] = replace(view, withdrawn=NOW)
        self.given[consent_id] = (owner, after)
        return after

    async def previews(self, page_size: int, page_token: str) -> Page[PreviewView]:
        decode_token(page_token)
        return Page((self._mine(PREVIEW.preview_id),)[:page_size])

    async def preview(self, preview_id: str) -> PreviewView:
        found = self._mine(preview_id)
        if found.state != "pending":
            return found
        self.looks += 1
        seen = replace(found, values={"address": "1 Spring Lane"}, token=f"token-{self.looks}")
        self.state[current_caller().id] = replace(seen, values=None)
        return seen

    async def confirm(self, preview_id: str, token: str, request_id: str) -> PreviewView:
        if request_id in self.decisions:
            return self.decisions[request_id]
        found = self._pending(preview_id)
        if not token or token != found.token:
            raise PreviewTokenInvalid("The token is not that of the last look, or it is too old.")
        return self._decided(found, "confirmed", request_id)

    async def decline(self, preview_id: str, request_id: str) -> PreviewView:
        if request_id in self.decisions:
            return self.decisions[request_id]
        return self._decided(self._pending(preview_id), "declined", request_id)

    def _mine(self, preview_id: str) -> PreviewView:
        if preview_id != PREVIEW.preview_id:
            raise PreviewNotFound("There is no such preview of yours, or its time is over.")
        return self.state.get(current_caller().id, PREVIEW)

    def _pending(self, preview_id: str) -> PreviewView:
        found = self._mine(preview_id)
        if found.state != "pending":
            raise PreviewNotPending(f"The preview is {found.state}.")
        return found

    def _decided(self, found: PreviewView, state: str, request_id: str) -> PreviewView:
        after = self.state[current_caller().id] = replace(found, state=state, token="")
        self.decisions[request_id] = after
        return after
