# SPDX-License-Identifier: Apache-2.0
"""Recalls: everybody who had received a value that was wrong is found in the ledger, told, and reminded by clock."""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from services.exchange.domain.corrections import (
    BASIS,
    FORGOTTEN,
    PURPOSE,
    CaseUsedCorrectedValue,
    Correction,
    CorrectionClockRang,
    CorrectionState,
    Duty,
    Recall,
    RecallIssued,
    RecallMeasure,
    Use,
    acknowledge,
    changed,
    recall_late,
    settled,
    swept,
    uses_among,
)
from services.exchange.domain.inquiry import Subject, SubjectKind
from services.exchange.domain.refusals import RecallNotFound
from services.exchange.service.corrections.ports import (
    ACKNOWLEDGE,
    SWEEP,
    CorrectionStore,
    CorrectionTx,
    DueRecall,
    acknowledge_owner,
)
from services.exchange.service.subjects import Subjects
from services.kit.calendar import Bell, Deadlines, Limits, Rung
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import Unavailable
from services.kit.ids import derived_id
from services.kit.ledger.access import Access
from services.kit.paging import Page

PAGE_SIZE = 50
LEAVES = 500
_ON_THEIR_WAY = timedelta(minutes=1)
"""An answer given just before the provider corrected the value may have its leaf a little later."""


@dataclass(frozen=True, slots=True)
class RecallView:
    """A recall with the subject, for the agency that it is for."""

    due: DueRecall
    subject_key: str = field(default="", repr=False)


class RecallService:
    """What receivers do, and what is done about them."""

    def __init__(
        self,
        store: CorrectionStore,
        subjects: Subjects,
        deadlines: Deadlines,
        limits: Limits,
        *,
        clock: Clock,
        recall_days: int,
    ) -> None:
        self._store = store
        self._subjects = subjects
        self._deadlines = deadlines
        self._limits = limits
        self._clock = clock
        self._recall_days = recall_days
        deadlines.react(ACKNOWLEDGE, self.on_acknowledge_bell)
        deadlines.react(SWEEP, self.on_sweep_bell)

    async def sweep(self, correction_id: str) -> None:
        """Find and tell the receivers; where this fails, the last sweep does it an hour later."""
        with suppress(Unavailable):
            async with self._store.transaction() as tx:
                found = await tx.find_correction(correction_id)
                if found is not None and found.state is CorrectionState.CONFIRMED:
                    await self._tell(tx, found)

    async def on_sweep_bell(self, tx: CorrectionTx, rung: Rung) -> None:
        """Search once more, now that nothing is on its way any more."""
        found = await tx.find_correction(rung.owner)
        if found is None or found.swept:
            return
        await self._tell(tx, found)
        now = self._clock()
        outstanding = await tx.outstanding_recalls(found.correction_id)
        await self._save(tx, found, swept(found, outstanding=outstanding, now=now), now)

    async def acknowledge(
        self, request_id: str, correction_id: str, measure: RecallMeasure, caller: Caller
    ) -> DueRecall:
        """Take note as a receiver. Raises RecallNotFound, RecallAcknowledged, RequestIdReused."""
        caller.must("exchange.query")
        agency, now = caller.agency or caller.id, self._clock()
        async with self._store.transaction() as tx:
            found = await tx.find_correction(correction_id)
            before = await tx.find_recall(correction_id, agency)
            if found is None or before is None:
                raise _not_found()
            if await tx.first_sight(request_id, "acknowledge", correction_id, measure):
                await tx.save_recall(acknowledge(before, measure, now=now))
                await self._deadlines.meet(tx, ACKNOWLEDGE, acknowledge_owner(correction_id, agency), now)
                outstanding = await tx.outstanding_recalls(correction_id)
                await self._save(tx, found, settled(found, outstanding=outstanding, now=now), now)
        return await self._own(correction_id, agency)

    async def inbox(self, caller: Caller, *, acknowledged: bool, page_size: int, page_token: str) -> Page[DueRecall]:
        """Give recalls, oldest first: an agency's own, or to the coordinator the late ones of all."""
        caller.must("exchange.read")
        coordinator = caller.kind is CallerKind.OPERATOR
        return await self._store.list_recalls(
            agency="" if coordinator else caller.agency or caller.id,
            late=coordinator,
            acknowledged=acknowledged,
            page_size=page_size or PAGE_SIZE,
            page_token=page_token,
        )

    async def read(self, correction_id: str, caller: Caller) -> RecallView:
        """Give an agency its recall with the subject, so that it finds its copy; the look has its leaf.

        No subject where the person's key was erased. Raises RecallNotFound, RemoteRefusal, Unavailable.
        """
        caller.must("exchange.query")
        agency = caller.agency or caller.id
        due = await self._own(correction_id, agency)
        counted = await self._store.read_correction(correction_id)
        if counted is None:
            raise _not_found()
        claim = counted.correction.claim
        if claim == FORGOTTEN:
            return RecallView(due)
        subject = Subject(SubjectKind(claim.subject_kind), claim.subject)
        key = await self._subjects.key(subject, purpose=PURPOSE, basis=BASIS, on_behalf_of=agency, case_id="")
        await self._store.ledger.append(
            Access(
                operation="recall_read",
                subject_id=claim.subject_id,
                purpose=PURPOSE,
                basis=BASIS,
                fields=(due.field_name,),
                resource=due.resource,
                on_behalf_of=agency,
            )
        )
        return RecallView(due, key)

    async def on_acknowledge_bell(self, tx: CorrectionTx, rung: Rung) -> None:
        """Tell the coordinator whom to remind; a receiver that is late is marked so."""
        correction_id, _, agency = rung.owner.partition(":")
        before = await tx.find_recall(correction_id, agency)
        if before is None:
            return
        if rung.bell is Bell.EXPIRY:
            await tx.save_recall(recall_late(before))
        await tx.record(CorrectionClockRang(correction_id, agency, Duty.ACKNOWLEDGE, rung.bell.value, rung.number))

    async def received(self, draft: Correction, agency: str) -> bool:
        """Tell whether the ledger says that an agency has received the value within the time of recalls."""
        return any(use.agency == agency for use in await self._uses(draft, draft.open_time))

    async def _own(self, correction_id: str, agency: str) -> DueRecall:
        due = await self._store.read_recall(correction_id, agency)
        if due is None:
            raise _not_found()
        return due

    async def _tell(self, tx: CorrectionTx, one: Correction) -> None:
        """Tell each receiver once, and each case once."""
        by_agency: defaultdict[str, list[Use]] = defaultdict(list)
        for use in await self._uses(one, one.answer_time):
            by_agency[use.agency].append(use)
        now = self._clock()
        terms = self._limits.terms(ACKNOWLEDGE, one.region)
        for agency, uses in by_agency.items():
            last = max(use.time for use in uses)
            before = await tx.find_recall(one.correction_id, agency)
            if before is not None:
                await tx.save_recall(replace(before, uses=len(uses), last_use_time=last))
                continue
            await tx.save_recall(Recall(one.correction_id, agency, len(uses), last, tell_time=now))
            owner = acknowledge_owner(one.correction_id, agency)
            await self._deadlines.start(tx, ACKNOWLEDGE, owner, terms, now)
            await tx.record(RecallIssued(one.correction_id, agency, one.resource, one.field_name))
        for case_id in {use.case_id for uses in by_agency.values() for use in uses if use.case_id}:
            if await tx.first_time(derived_id("corrected", one.correction_id, case_id)):
                await tx.record(CaseUsedCorrectedValue(case_id, one.correction_id, one.resource, one.field_name))

    async def _uses(self, one: Correction, moment: datetime | None) -> list[Use]:
        """Read the ledger about the subject backwards, page by page, as far as values are called back."""
        assert moment is not None, "it was confirmed"
        if one.claim == FORGOTTEN:
            return []  # Nobody can tell any more which leaves were about the person.
        since, until = moment - timedelta(days=self._recall_days), moment + _ON_THEIR_WAY
        found: list[Use] = []
        before: int | None = None
        while leaves := await self._store.ledger.leaves_about(one.claim.subject_id, before=before, limit=LEAVES):
            bodies = [leaf.body for leaf in leaves if leaf.body]
            found += uses_among(bodies, one, since=since, until=until)
            if len(bodies) < len(leaves):
                break  # From here on all are archived: older than records must be kept (PIPL, art. 56).
            before = leaves[-1].index
        return found

    async def _save(self, tx: CorrectionTx, before: Correction, after: Correction, now: datetime) -> None:
        if after == before:
            return
        await tx.save_correction(after, now=now)
        if after.state is not before.state:
            await tx.record(changed(after))


def _not_found() -> RecallNotFound:
    return RecallNotFound("There is no such recall of the calling agency.")
