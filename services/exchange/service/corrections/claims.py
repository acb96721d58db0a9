# SPDX-License-Identifier: Apache-2.0
"""Claims: opened and withdrawn by claimants, answered by providers within their clock."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from services.exchange.domain.corrections import (
    BASIS,
    CITIZEN,
    FORGOTTEN,
    PURPOSE,
    Claim,
    Correction,
    CorrectionClockRang,
    CorrectionState,
    Duty,
    Proof,
    RejectionGround,
    changed,
    check_disputable,
    confirm,
    extend,
    forgotten,
    gives,
    overdue,
    reject,
    withdraw,
)
from services.exchange.domain.inquiry import Subject, SubjectKind
from services.exchange.domain.refusals import (
    CorrectionNotFound,
    CorrectionOpenAlready,
    NotOwnRecord,
    TooManyCorrections,
    ValueNotReceived,
)
from services.exchange.service.corrections.disputes import Disputes
from services.exchange.service.corrections.ports import (
    ANSWER,
    SWEEP,
    CorrectionFilter,
    CorrectionStore,
    CorrectionTx,
    Counted,
    Dispute,
    DueCorrection,
)
from services.exchange.service.corrections.recalls import RecallService
from services.exchange.service.subjects import Subjects
from services.kit.calendar import Bell, Deadlines, Limit, Limits, Rung, Terms, Unit, derivation
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import RequestIdReused, RequestInvalid, Violation
from services.kit.ids import derived_id
from services.kit.ledger.access import Access
from services.kit.paging import Page
from services.kit.text import Text

PAGE_SIZE = 50
FORGOTTEN_EACH = 100
OPEN_MAX = {CallerKind.CITIZEN: 20, CallerKind.AGENCY: 1_000}
MORE_TIME = Text(zh="提供方需要更多时间核实", en="the provider needs more time to check")
_SWEEP_TERMS = Terms(limit=Limit(amount=1, unit=Unit.HOURS))
"""By then every answer that was on its way when the provider confirmed has its leaf: providers are given 30 seconds."""


@dataclass(frozen=True, slots=True)
class OpenCorrection:
    """Dispute a value; the id of the correction follows from the request id, so that a repeat finds it."""

    request_id: str
    resource: str
    field_name: str
    subject: Subject | None
    claimed: str = field(repr=False)
    grounds: str = field(repr=False)
    proofs: tuple[Proof, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer, extend or withdraw a correction."""

    request_id: str
    correction_id: str
    explanation: str = field(default="", repr=False)
    ground: RejectionGround | None = None


@dataclass(frozen=True, slots=True)
class CorrectionView:
    """A correction as one caller may see it."""

    counted: Counted
    content: bool
    """Whether the words may be seen."""
    subject_key: str = field(default="", repr=False)
    due: datetime | None = None
    provisional: bool = False
    derivation: tuple[Text, ...] = ()


class ClaimService:
    """What claimants and providers do."""

    def __init__(
        self,
        store: CorrectionStore,
        subjects: Subjects,
        *,
        recalls: RecallService,
        disputes: Disputes,
        deadlines: Deadlines,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._store = store
        self._subjects = subjects
        self._recalls = recalls
        self._disputes = disputes
        self._deadlines = deadlines
        self._limits = limits
        self._clock = clock
        deadlines.react(ANSWER, self.on_answer_bell)
        store.ledger.also_forget(self.forget)

    async def open(self, command: OpenCorrection, caller: Caller) -> CorrectionView:
        """Dispute a value; queriers are told of it from now on.

        Raises ResourceNotFound, RequestInvalid, NotOwnRecord, ValueNotReceived, CorrectionOpenAlready, TooManyCorrections, RequestIdReused,
        Unavailable.
        """
        draft = await self._draft(command, caller)
        async with self._store.transaction() as tx:
            if not await tx.first_sight(command.request_id):
                before = await tx.find_correction(draft.correction_id)
                if before is None or (before.claim, before.resource, before.field_name) != (
                    draft.claim,
                    draft.resource,
                    draft.field_name,
                ):
                    raise RequestIdReused("This request id came before, with another request.")
            else:
                await self._add(tx, draft, caller)
        self._note(draft)
        return await self.read(draft.correction_id, caller)

    async def read(self, correction_id: str, caller: Caller) -> CorrectionView:
        """Give one, as much of it as the caller may see; a provider's look at the claim has its leaf.

        Raises CorrectionNotFound, RemoteRefusal, Unavailable.
        """
        counted = await self._store.read_correction(correction_id)
        if counted is None or not await self._may_see(counted.correction, caller):
            raise _not_found()
        found = counted.correction
        providing = caller.kind is CallerKind.AGENCY and _agency(caller) == found.provider
        key = await self._subject_key(found, caller) if providing else ""
        content = providing or found.claimant == self._claimant(caller)
        if not found.disputed:
            return CorrectionView(counted, content, key)
        deadline, reckoned = await self._deadlines.read(ANSWER, correction_id)
        return CorrectionView(counted, content, key, reckoned.due, reckoned.provisional, derivation(deadline, reckoned))

    async def list(
        self,
        caller: Caller,
        *,
        claiming: bool,
        state: CorrectionState | None,
        late: bool,
        page_size: int,
        page_token: str,
    ) -> Page[DueCorrection]:
        """Give corrections, newest first: a resident's own, an agency's as provider or claimant, an operator's all."""
        wanted = CorrectionFilter(state=state, late=late)
        if caller.kind is CallerKind.CITIZEN or (caller.kind is CallerKind.AGENCY and claiming):
            wanted = CorrectionFilter(claimant=self._claimant(caller), state=state, late=late)
        elif caller.kind is CallerKind.AGENCY:
            caller.must("exchange.read")
            wanted = CorrectionFilter(provider=_agency(caller), state=state, late=late)
        else:
            caller.must("exchange.read")
        return await self._store.list_corrections(wanted, page_size=page_size or PAGE_SIZE, page_token=page_token)

    async def withdraw(self, reply: Reply, caller: Caller) -> CorrectionView:
        """No longer dispute it. Raises CorrectionNotFound, CorrectionNotOpen, RequestIdReused."""
        now = self._clock()
        claimant = self._claimant(caller)

        async def change(tx: CorrectionTx, before: Correction) -> Correction:
            after = withdraw(before, now=now)
            await self._deadlines.withdraw(tx, ANSWER, before.correction_id, now)
            return after

        return await self._changed("withdraw", reply, caller, lambda one: one.claimant == claimant, change)

    async def confirm(self, reply: Reply, caller: Caller) -> CorrectionView:
        """The value was wrong and is corrected: whoever had received it is found and told.

        Raises CorrectionNotFound, CorrectionNotOpen, RequestIdReused.
        """
        now = self._clock()

        async def change(tx: CorrectionTx, before: Correction) -> Correction:
            after = confirm(before, explanation=reply.explanation, now=now)
            await self._deadlines.meet(tx, ANSWER, before.correction_id, now)
            await self._deadlines.start(tx, SWEEP, before.correction_id, _SWEEP_TERMS, now)
            return after

        await self._changed("confirm", reply, caller, _provided_by(caller), change)
        await self._recalls.sweep(reply.correction_id)
        return await self.read(reply.correction_id, caller)

    async def reject(self, reply: Reply, caller: Caller) -> CorrectionView:
        """The value stands. Raises CorrectionNotFound, CorrectionNotOpen, RequestIdReused."""
        now, ground = self._clock(), reply.ground
        assert ground is not None, "the contract asks for it"

        async def change(tx: CorrectionTx, before: Correction) -> Correction:
            after = reject(before, ground=ground, explanation=reply.explanation, now=now)
            await self._deadlines.meet(tx, ANSWER, before.correction_id, now)
            return after

        return await self._changed("reject", reply, caller, _provided_by(caller), change)

    async def extend(self, reply: Reply, caller: Caller) -> CorrectionView:
        """Take more time. Raises CorrectionNotFound, CorrectionNotOpen, ExtensionNotAllowed, DeadlineNotRunning."""
        now = self._clock()

        async def change(tx: CorrectionTx, before: Correction) -> Correction:
            after = extend(before)
            await self._deadlines.change(tx, ANSWER, before.correction_id, lambda one: one.extend(now, MORE_TIME))
            return after

        return await self._changed("extend", reply, caller, _provided_by(caller), change)

    async def on_answer_bell(self, tx: CorrectionTx, rung: Rung) -> None:
        """Tell the coordinator whom to remind; a provider that is late is marked so."""
        before = await tx.find_correction(rung.owner)
        if before is None:
            return
        if rung.bell is Bell.EXPIRY:
            await tx.save_correction(overdue(before), now=self._clock())
        await tx.record(
            CorrectionClockRang(before.correction_id, before.provider, Duty.ANSWER, rung.bell.value, rung.number)
        )

    async def forget(self, tx: CorrectionTx, subject: str) -> None:
        """With the erasure of a person's key: keep nothing of whom corrections were about. `subject`: the name in the ledger."""
        now = self._clock()
        while found := await tx.corrections_about(subject, limit=FORGOTTEN_EACH):
            for before in found:
                after = forgotten(before, now=now)
                await tx.save_correction(after, now=now)
                if after.state is not before.state:
                    await self._deadlines.withdraw(tx, ANSWER, before.correction_id, now)
                    await tx.record(changed(after))

    async def _draft(self, command: OpenCorrection, caller: Caller) -> Correction:
        resource = await self._store.read_resource(command.resource)
        check_disputable(resource, command.field_name, command.proofs)
        subject = _subject(command, caller)
        subject_id = await self._subjects.subject_id(subject, purpose=PURPOSE, case_id="")
        draft = Correction(
            correction_id=derived_id("correction", caller.id, command.request_id),
            resource=resource.code,
            field_name=command.field_name,
            provider=resource.provider,
            region=resource.region,
            subject=self._store.pseudonym(subject_id),
            claimant=self._claimant(caller),
            claim=Claim(
                subject_id=subject_id,
                subject_kind=subject.kind.value,
                subject=subject.value,
                claimed=command.claimed,
                grounds=command.grounds,
                proofs=command.proofs,
            ),
            open_time=self._clock(),
        )
        if caller.kind is CallerKind.AGENCY:
            await self._must_know(draft, _agency(caller))
        return draft

    async def _must_know(self, draft: Correction, agency: str) -> None:
        """Let an agency dispute what a grant gives it now, or what it received by the ledger. Raises ValueNotReceived."""
        grants = await self._store.grants_of(agency, draft.resource)
        if any(gives(each, draft.field_name, draft.open_time) for each in grants):
            return
        if not await self._recalls.received(draft, agency):
            raise ValueNotReceived(
                "The agency holds no grant for this field, and has not received this value.",
                remedy="Apply for a grant, or let the resident dispute the value.",
            )

    async def _add(self, tx: CorrectionTx, draft: Correction, caller: Caller) -> None:
        most = OPEN_MAX[caller.kind]
        if await tx.open_corrections(draft.claimant) >= most:
            raise TooManyCorrections(
                f"A claimant may have {most} corrections open at a time.",
                remedy="Wait until one of them is answered, or withdraw one.",
                retry_after_seconds=86_400,
            )
        if not await tx.add_correction(draft):
            raise CorrectionOpenAlready("You dispute this value already.", remedy="Wait for the provider's answer.")
        terms = self._limits.terms(ANSWER, draft.region)
        await self._deadlines.start(tx, ANSWER, draft.correction_id, terms, draft.open_time)
        await tx.record(changed(draft))
        await tx.leaf(_access("correction_opened", draft, on_behalf_of=""))  # last: the tree is locked from here

    async def _changed(
        self,
        act: str,
        reply: Reply,
        caller: Caller,
        whose: Callable[[Correction], bool],
        change: Callable[[CorrectionTx, Correction], Awaitable[Correction]],
    ) -> CorrectionView:
        async with self._store.transaction() as tx:
            before = await tx.find_correction(reply.correction_id)
            if before is None or not whose(before):
                raise _not_found()
            if await tx.first_sight(reply.request_id, act, reply.correction_id, reply.ground or ""):
                after = await change(tx, before)
                await tx.save_correction(after, now=self._clock())
                await tx.record(changed(after))
            else:
                after = before
        self._note(after)
        return await self.read(reply.correction_id, caller)

    async def _may_see(self, found: Correction, caller: Caller) -> bool:
        if caller.kind is CallerKind.OPERATOR or found.claimant == self._claimant(caller):
            return True
        if caller.kind is not CallerKind.AGENCY:
            return False
        agency = _agency(caller)
        return agency == found.provider or await self._store.read_recall(found.correction_id, agency) is not None

    async def _subject_key(self, found: Correction, caller: Caller) -> str:
        """Tell the provider whom it is about; its own register is searched by that."""
        if found.claim == FORGOTTEN:
            return ""
        agency = _agency(caller)
        subject = Subject(SubjectKind(found.claim.subject_kind), found.claim.subject)
        key = await self._subjects.key(subject, purpose=PURPOSE, basis=BASIS, on_behalf_of=agency, case_id="")
        await self._store.ledger.append(_access("correction_read", found, on_behalf_of=agency))
        return key

    def _claimant(self, caller: Caller) -> str:
        if caller.kind is CallerKind.CITIZEN:
            return f"{CITIZEN}{self._store.pseudonym(caller.id)}"
        return f"agency:{_agency(caller)}" if caller.kind is CallerKind.AGENCY else ""

    def _note(self, one: Correction) -> None:
        """This process knows at once; the others hear the fact."""
        self._disputes.apply(Dispute(one.correction_id, one.resource, one.subject, one.field_name, one.disputed))


def _access(operation: str, one: Correction, *, on_behalf_of: str) -> Access:
    return Access(
        operation=operation,
        subject_id=one.claim.subject_id,
        purpose=PURPOSE,
        basis=BASIS,
        fields=(one.field_name,),
        resource=one.resource,
        on_behalf_of=on_behalf_of,
    )


def _subject(command: OpenCorrection, caller: Caller) -> Subject:
    if caller.kind is CallerKind.CITIZEN:
        own = Subject(SubjectKind.SUBJECT_ID, caller.id)
        if command.subject not in {None, own}:
            raise NotOwnRecord("A resident disputes values about nobody but themselves.")
        return own
    caller.must("exchange.query")
    if command.subject is None:
        raise RequestInvalid("Whose value?", violations=[Violation("subject", "A person or an organization.")])
    return command.subject


def _agency(caller: Caller) -> str:
    return caller.agency or caller.id


def _provided_by(caller: Caller) -> Callable[[Correction], bool]:
    caller.must("exchange.provide")
    return lambda one: one.provider == _agency(caller)


def _not_found() -> CorrectionNotFound:
    return CorrectionNotFound("There is no such correction.")
