# SPDX-License-Identifier: Apache-2.0
"""What a resident's doorway may ask; every method acts for `current_caller()`."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from services.gateway.domain.case import fold
from services.gateway.domain.refusals import CaseNotFound, SandboxOff
from services.gateway.service.accesses import LOGS, merged, usages
from services.gateway.service.bell import case_key
from services.gateway.service.commands import ChangeAnswers, CreateCase, DeleteDraft, SubmitCase
from services.gateway.service.consents import ConsentSource, ResidentConsents
from services.gateway.service.corrections import CorrectionSource, CorrectionSummary, CorrectionView, DisputeValue
from services.gateway.service.drafts import Drafts, citizen, own_file
from services.gateway.service.engine import Engine
from services.gateway.service.places import place_after, read_place
from services.gateway.service.ports import CaseFile, IdentitySource, LedgerSource, LicensesSource
from services.gateway.service.present import case_summary, case_trace, case_view, matter_view, timeline_entry
from services.gateway.service.views import (
    AccessPage,
    AccessView,
    CaseSummary,
    CaseTrace,
    CaseView,
    ForkView,
    JwksView,
    LicenseView,
    MatterView,
    NarrowAccesses,
    PersonaView,
    TimelineEntry,
    TokenView,
)
from services.kit.caller import CallerKind, current_caller
from services.kit.errors import Unavailable
from services.kit.paging import Page

PAGE_DEFAULT = 50
PAGE_MAX = 200
OPERATOR_RIGHT = "gateway.cases"


@dataclass(frozen=True, slots=True)
class Sources:
    """The other services, in the gateway's words."""

    identity: IdentitySource
    licenses: LicensesSource
    ledgers: LedgerSource
    corrections: CorrectionSource
    consents: ConsentSource


class GatewayService(ResidentConsents):
    """Cases, licenses and accesses of the calling resident, and the public catalogue.

    Refusals carry code and reason; `Unavailable` says that a service behind does not answer.
    """

    def __init__(
        self, engine: Engine, drafts: Drafts, sources: Sources, *, poll_seconds: float, sandbox: bool = False
    ) -> None:
        self._engine = engine
        self._drafts = drafts
        self._sources = sources
        self._consents = sources.consents
        self._poll_seconds = poll_seconds
        self._sandbox = sandbox

    def list_matters(self) -> tuple[MatterView, ...]:
        """Lists what can be asked for, by code. Needs no caller."""
        return tuple(matter_view(plan, self._engine.workflows) for plan in self._engine.workflows.offered)

    def matter(self, code: str) -> MatterView:
        """Tells one matter with its form. MATTER_NOT_FOUND."""
        return matter_view(self._engine.workflows.current(code), self._engine.workflows)

    async def create_case(self, command: CreateCase) -> CaseView:
        """Opens a draft, prefilled; or finds the one that the caller has of a matter that allows no other (`found`).

        MATTER_NOT_FOUND, ANSWERS_INVALID (with violations), TOO_MANY_DRAFTS, IDEMPOTENCY_KEY_REUSED.
        A repeat is answered with the case as it was opened, however far it has come since: the same answer.
        """
        file, found = await self._drafts.create(command)
        if found:
            return replace(await self._view(file), found=True)
        if file.state.version > 1 and (history := await self._engine.store.events_after(file.case_id, 0)):
            _, opened = history[0]
            file = CaseFile(file.case_id, "", fold([opened]))
        return await self._view(file)

    async def change_answers(self, command: ChangeAnswers) -> CaseView:
        """Changes a draft.

        CASE_NOT_FOUND, CASE_NOT_DRAFT, VERSION_CONFLICT, ANSWERS_INVALID, IDEMPOTENCY_KEY_REUSED.
        """
        return await self._view(await self._drafts.change(command))

    async def delete_case(self, command: DeleteDraft) -> None:
        """Deletes a draft with everything in it. CASE_NOT_FOUND, CASE_NOT_DRAFT, IDEMPOTENCY_KEY_REUSED."""
        await self._drafts.delete(command)

    async def submit_case(self, command: SubmitCase) -> CaseView:
        """Submits a draft; the case's trace is the caller's trace from here on.

        CASE_NOT_FOUND, ANSWERS_MISSING (with violations), TOO_MANY_CASES, TOO_MANY_SUBMISSIONS, VERSION_CONFLICT,
        IDEMPOTENCY_KEY_REUSED. A case that is submitted already is answered as it stands.
        """
        return await self._view(await self._drafts.submit(command))

    async def case(self, case_id: str) -> CaseView:
        """Reads one own case. CASE_NOT_FOUND also for another resident's."""
        return await self._view(await own_file(self._engine, case_id))

    async def cases(self, *, page_size: int = 0, page_token: str = "") -> Page[CaseSummary]:
        """Lists own cases, newest first; `page_size` 1 to 200, 0 for 50."""
        caller = citizen()
        limit = _page_size(page_size)
        rows = await self._engine.store.cases_of(caller.id, limit + 1, read_place(page_token))
        token = ""
        if len(rows) > limit:
            token = place_after(rows[limit - 1])
        shown = [case_summary(row, (await self._engine.plan_of(row.definition)).matter.title) for row in rows[:limit]]
        return Page(tuple(shown), token)

    async def timeline(self, case_id: str) -> tuple[TimelineEntry, ...]:
        """Everything that happened in one own case, oldest first."""
        return await self.events_after(case_id, 0)

    async def events_after(self, case_id: str, seq: int) -> tuple[TimelineEntry, ...]:
        """What happened after `seq` (0 for all), for a stream that is taken up again."""
        file = await own_file(self._engine, case_id)
        return await self._entries(file, seq)

    async def wait_for_events(self, case_id: str, seq: int, timeout_seconds: float) -> tuple[TimelineEntry, ...]:
        """The same, waiting for the first one; empty after the timeout. A stream ends after the entry of kind `ended`.

        Signals come from this process; a look every `poll_seconds` finds what others wrote.
        """
        file = await own_file(self._engine, case_id)
        left = timeout_seconds
        with self._engine.bell.listening(case_key(case_id)) as ear:
            while True:
                found = await self._entries(file, seq)
                if found or left <= 0:
                    return found
                seconds = min(left, self._poll_seconds)
                if not await ear.rung(seconds):
                    left -= seconds

    async def trace_of(self, receipt_or_case_id: str) -> CaseTrace:
        """From a receipt or case id to its trace: own cases, or with the right `gateway.cases`. CASE_NOT_FOUND."""
        caller = current_caller()
        row = await self._engine.store.find(receipt_or_case_id)
        if caller.kind is not CallerKind.CITIZEN:
            caller.must(OPERATOR_RIGHT)
        if row is None or (caller.kind is CallerKind.CITIZEN and row.applicant_id != caller.id):
            raise CaseNotFound("There is no such case.")
        return case_trace(row)

    async def licenses(self, *, page_size: int = 0, page_token: str = "") -> Page[LicenseView]:
        """Lists own licenses, newest first."""
        citizen()
        return await self._sources.licenses.own(_page_size(page_size), page_token)

    async def license(self, license_id: str) -> LicenseView:
        """Reads one own license with its credential."""
        citizen()
        return await self._sources.licenses.read(license_id)

    async def open_correction(self, command: DisputeValue) -> CorrectionView:
        """Disputes a value about the caller. The exchange's refusals, and IDEMPOTENCY_KEY_REUSED."""
        citizen()
        return await self._sources.corrections.open(command)

    async def corrections(self, *, page_size: int = 0, page_token: str = "") -> Page[CorrectionSummary]:
        """Lists what the caller disputes, newest first."""
        citizen()
        return await self._sources.corrections.list(_page_size(page_size), page_token)

    async def correction(self, correction_id: str) -> CorrectionView:
        """Reads one. CORRECTION_NOT_FOUND also for another resident's."""
        citizen()
        return await self._sources.corrections.read(correction_id)

    async def withdraw_correction(self, correction_id: str, idempotency_key: str) -> CorrectionView:
        """No longer disputes it. CORRECTION_NOT_FOUND, CORRECTION_NOT_OPEN."""
        citizen()
        return await self._sources.corrections.withdraw(correction_id, idempotency_key)

    async def accesses(
        self, narrow: NarrowAccesses | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> AccessPage:
        """Who used my data: the three ledgers merged, newest first, each leaf with its proof."""
        citizen()
        return await merged(self._sources.ledgers, narrow or NarrowAccesses(), _page_size(page_size), page_token)

    async def access(self, log: str, index: int) -> AccessView:
        """One of them, under a head that witnesses have signed where there is one. NOT_FOUND for another's."""
        citizen()
        return await self._sources.ledgers.own_leaf(log, index)

    async def usages(self, narrow: NarrowAccesses) -> tuple[AccessView, ...]:
        """All of them that can be read, newest first, for a door that counts them. TOO_MANY_ACCESSES, Unavailable."""
        citizen()
        return await usages(self._sources.ledgers, narrow)

    async def accesses_since(self) -> datetime | None:
        """Since when accesses are kept, None where there are none yet. Needs no caller."""
        found = await asyncio.gather(*(self._sources.ledgers.since(log) for log in LOGS))
        return min((each for each in found if each is not None), default=None)

    async def forks(self) -> tuple[ForkView, ...]:
        """What witnesses found, newest first: each ledger shows what was found in any, so that none can hide it. Needs no caller."""
        found = await asyncio.gather(*(self._sources.ledgers.forks(log) for log in LOGS), return_exceptions=True)
        pages = [each for each in found if not isinstance(each, BaseException)]
        if not pages:
            raise Unavailable("No ledger answers.", retry_after_seconds=1)
        known = {one.evidence_id: one for page in pages for one in page}
        return tuple(sorted(known.values(), key=lambda one: one.found, reverse=True))

    async def ledger_keys(self) -> Mapping[str, Mapping[str, str]]:
        """The public key (JWK) of each ledger, for whoever checks a proof. Needs no caller."""
        keys = await asyncio.gather(*(self._sources.ledgers.public_key(log) for log in LOGS))
        return dict(zip(LOGS, keys, strict=True))

    async def personas(self) -> tuple[PersonaView, ...]:
        """Lists the sandbox's personas. SANDBOX_OFF outside the sandbox. Needs no caller."""
        if not self._sandbox:
            raise SandboxOff("Made-up accounts exist only in a sandbox.")
        return await self._sources.identity.personas()

    async def issue_token(self, *, grant_type: str, persona: str) -> TokenView:
        """Exchanges a grant for an access token. Needs no caller."""
        return await self._sources.identity.issue_token(grant_type, persona)

    async def jwks(self) -> JwksView:
        """The public keys of access tokens. Needs no caller."""
        return await self._sources.identity.jwks()

    async def _view(self, file: CaseFile) -> CaseView:
        return case_view(file, await self._engine.plan_of(file.state.definition), self._engine.workflows)

    async def _entries(self, file: CaseFile, seq: int) -> tuple[TimelineEntry, ...]:
        plan = await self._engine.plan_of(file.state.definition)
        found = await self._engine.store.events_after(file.case_id, seq)
        return tuple(timeline_entry(number, event, plan, self._engine.workflows) for number, event in found)


def _page_size(asked: int) -> int:
    return min(asked, PAGE_MAX) if asked > 0 else PAGE_DEFAULT
