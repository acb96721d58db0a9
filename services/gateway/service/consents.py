# SPDX-License-Identifier: Apache-2.0
"""What a resident lets departments have: consents, and previews before transfer. The exchange keeps both."""

from typing import Protocol

from services.gateway.service.commands import DecidePreview, GiveConsent, WithdrawConsent
from services.gateway.service.drafts import citizen
from services.gateway.service.views import ConsentView, PreviewView
from services.kit.ids import derived_id
from services.kit.paging import Page


class ConsentSource(Protocol):
    """Consents and previews, in the gateway's words. Raises Refusal or Unavailable."""

    async def consents(self, page_size: int, page_token: str) -> Page[ConsentView]:
        """The caller's consents, newest first."""

    async def give(self, command: GiveConsent, request_id: str) -> ConsentView:
        """Give a consent."""

    async def withdraw(self, consent_id: str, request_id: str) -> ConsentView:
        """Withdraw a consent."""

    async def previews(self, page_size: int, page_token: str) -> Page[PreviewView]:
        """The caller's previews, newest first, without values."""

    async def preview(self, preview_id: str) -> PreviewView:
        """What would go now, with the token that stands for it."""

    async def confirm(self, preview_id: str, token: str, request_id: str) -> PreviewView:
        """Let what was shown be sent."""

    async def decline(self, preview_id: str, request_id: str) -> PreviewView:
        """Keep it from being sent."""


class ResidentConsents:
    """Consents and previews of the calling resident; a key becomes the request id that makes a repeat change nothing."""

    _consents: ConsentSource

    async def consents(self, *, page_size: int = 50, page_token: str = "") -> Page[ConsentView]:
        """Lists own consents, newest first, withdrawn and expired ones too."""
        citizen()
        return await self._consents.consents(page_size, page_token)

    async def give_consent(self, command: GiveConsent) -> ConsentView:
        """Gives a consent. RESOURCE_NOT_FOUND, REQUEST_INVALID, REQUEST_ID_REUSED."""
        return await self._consents.give(command, _request_id("give", command.idempotency_key))

    async def withdraw_consent(self, command: WithdrawConsent) -> ConsentView:
        """Withdraws a consent. CONSENT_NOT_FOUND, CONSENT_WITHDRAWN."""
        request_id = _request_id(f"withdraw:{command.consent_id}", command.idempotency_key)
        return await self._consents.withdraw(command.consent_id, request_id)

    async def previews(self, *, page_size: int = 50, page_token: str = "") -> Page[PreviewView]:
        """Lists own previews, newest first."""
        citizen()
        return await self._consents.previews(page_size, page_token)

    async def preview(self, preview_id: str) -> PreviewView:
        """Shows what would go. PREVIEW_NOT_FOUND, and whatever keeps the department from answering."""
        citizen()
        return await self._consents.preview(preview_id)

    async def confirm_preview(self, command: DecidePreview) -> PreviewView:
        """Lets what was shown be sent. PREVIEW_NOT_FOUND, PREVIEW_NOT_PENDING, PREVIEW_TOKEN_INVALID."""
        request_id = _request_id(f"confirm:{command.preview_id}", command.idempotency_key)
        return await self._consents.confirm(command.preview_id, command.token, request_id)

    async def decline_preview(self, command: DecidePreview) -> PreviewView:
        """Keeps it from being sent. PREVIEW_NOT_FOUND, PREVIEW_NOT_PENDING."""
        request_id = _request_id(f"decline:{command.preview_id}", command.idempotency_key)
        return await self._consents.decline(command.preview_id, request_id)


def _request_id(what: str, key: str) -> str:
    return derived_id("consents", citizen().id, what, key)
