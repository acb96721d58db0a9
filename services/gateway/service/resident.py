# SPDX-License-Identifier: Apache-2.0
"""What a resident's doorway may ask; every method acts for `current_caller()`.

INTERFACE FIRST: bodies follow. Refusals are kit.errors.Refusal subclasses with code and reason; `Unavailable` where a peer does
not answer.
"""

from services.gateway.service.commands import ChangeAnswers, CreateCase, SubmitCase
from services.gateway.service.views import (
    AccessPage,
    CaseSummary,
    CaseTrace,
    CaseView,
    JwksView,
    LicenseView,
    MatterView,
    PersonaView,
    TimelineEntry,
    TokenView,
)
from services.kit.paging import Page


class GatewayService:
    """Cases, licenses and accesses of the calling resident, and the public catalogue."""

    def list_matters(self) -> tuple[MatterView, ...]:
        """Lists what can be asked for, by code. Needs no caller."""
        raise NotImplementedError

    def matter(self, code: str) -> MatterView:
        """Tells one matter with its form. NOT_FOUND (MATTER_NOT_FOUND)."""
        raise NotImplementedError

    async def create_case(self, command: CreateCase) -> CaseView:
        """Opens a draft, prefilled. REQUEST_INVALID names bad fields; IDEMPOTENCY_KEY_REUSED where the key stands for another body."""
        raise NotImplementedError

    async def change_answers(self, command: ChangeAnswers) -> CaseView:
        """Changes a draft. CASE_NOT_FOUND, CASE_NOT_DRAFT, VERSION_CONFLICT, REQUEST_INVALID."""
        raise NotImplementedError

    async def submit_case(self, command: SubmitCase) -> CaseView:
        """Submits a draft; the case's trace is the caller's trace from here on. REQUEST_INVALID names what is missing."""
        raise NotImplementedError

    async def case(self, case_id: str) -> CaseView:
        """Reads one own case. CASE_NOT_FOUND also for another resident's."""
        raise NotImplementedError

    async def cases(self, *, page_size: int = 0, page_token: str = "", receipt: str = "") -> Page[CaseSummary]:
        """Lists own cases, newest first; `page_size` 1 to 200, 0 for 50. `receipt` finds the one with this number."""
        raise NotImplementedError

    async def timeline(self, case_id: str) -> tuple[TimelineEntry, ...]:
        """Everything that happened in one own case, oldest first."""
        raise NotImplementedError

    async def events_after(self, case_id: str, seq: int) -> tuple[TimelineEntry, ...]:
        """What happened after `seq` (0 for all), for a stream that is taken up again."""
        raise NotImplementedError

    async def wait_for_events(self, case_id: str, seq: int, timeout_seconds: float) -> tuple[TimelineEntry, ...]:
        """The same, waiting for the first one; empty after the timeout. A stream ends after the entry of kind `ended`."""
        raise NotImplementedError

    async def trace_of(self, receipt_or_case_id: str) -> CaseTrace:
        """From a receipt number or case id to its trace, for operators (right `gateway.cases`) and the own console. CASE_NOT_FOUND."""
        raise NotImplementedError

    async def licenses(self, *, page_size: int = 0, page_token: str = "") -> Page[LicenseView]:
        """Lists own licenses, newest first."""
        raise NotImplementedError

    async def license(self, license_id: str) -> LicenseView:
        """Reads one own license with its credential."""
        raise NotImplementedError

    async def accesses(self, *, page_size: int = 0, page_token: str = "") -> AccessPage:
        """Who used my data: the three ledgers merged, newest first, each leaf with its proof."""
        raise NotImplementedError

    async def personas(self) -> tuple[PersonaView, ...]:
        """Lists the sandbox's personas. SANDBOX_OFF outside the sandbox. Needs no caller."""
        raise NotImplementedError

    async def issue_token(self, *, grant_type: str, persona: str) -> TokenView:
        """Exchanges a grant for an access token. Needs no caller."""
        raise NotImplementedError

    async def jwks(self) -> JwksView:
        """The public keys of access tokens. Needs no caller."""
        raise NotImplementedError
