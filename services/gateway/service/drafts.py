# SPDX-License-Identifier: Apache-2.0
"""Drafts: opened once however often it is asked, filled from sources, changed, submitted or let go."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from services.gateway.domain.advance import submit
from services.gateway.domain.bounds import Bounds
from services.gateway.domain.case import CaseState
from services.gateway.domain.definition import canonical_json
from services.gateway.domain.effects import WHOLE_CASE, Timer, TimerKind
from services.gateway.domain.form import check_answers, check_complete
from services.gateway.domain.history import AnswersChanged, CaseOpened, Event, Prefilled, PrefillRepeated, PrefillState
from services.gateway.domain.materials import must_be_complete
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import (
    CaseNotDraft,
    CaseNotFound,
    CitizenOnly,
    IdempotencyKeyReused,
)
from services.gateway.domain.values import china_dawn
from services.gateway.service.commands import ChangeAnswers, CreateCase, DeleteDraft, SubmitCase
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.ports import CaseFile, Remembered
from services.gateway.service.prefill import Prefiller
from services.gateway.service.receipts import next_receipt
from services.kit.caller import Caller, CallerKind, current_caller
from services.kit.errors import Unavailable, VersionConflict
from services.kit.ids import new_id
from services.kit.telemetry import current_traceparent


@dataclass(frozen=True, slots=True)
class Opening:
    """Fingerprints of a request for a draft: one for where it opened one, one for where it found one."""

    opened: str
    existing: str

    def note(self, case_id: str, draft_id: str) -> Remembered:
        """What is kept under the key."""
        return Remembered(self.existing, draft_id) if draft_id else Remembered(self.opened, case_id)

    def found(self, first: Remembered) -> bool:
        """Whether the first request under the key found its draft. Raises IdempotencyKeyReused for another request."""
        if first.fingerprint not in {self.opened, self.existing}:
            raise IdempotencyKeyReused("The idempotency key belongs to another request.", remedy="Use a new key.")
        return first.fingerprint == self.existing


class ShownLicenses(Protocol):
    """Licenses that stand for materials."""

    async def must_hold(self, file: CaseFile, plan: Plan) -> None:
        """Raises MaterialLicenseInvalid where one is in force no more."""


class Drafts:
    """From an empty form to a submitted case; acts for the calling resident."""

    def __init__(self, engine: Engine, prefiller: Prefiller, bounds: Bounds, shown: ShownLicenses) -> None:
        self._engine = engine
        self._shown = shown
        self._prefiller = prefiller
        self._bounds = bounds

    async def create(self, command: CreateCase) -> tuple[CaseFile, bool]:
        """Open a draft, or find the one that the resident has of the matter; True where it was found.

        The same caller, key and body again give the same case.
        """
        caller, key = citizen(), command.idempotency_key
        plan = self._engine.workflows.current(command.matter)
        without = tuple(sorted(set(command.without)))
        opening = self._opening({"create": command.matter, "answers": dict(command.answers), "without": list(without)})
        if key and (first := await self._engine.store.remembered(caller.label, key)) is not None:
            return await self._there(first.case_id), opening.found(first)
        answers = {name: value for name, value in command.answers.items() if value}
        check_answers(plan.matter, command.answers, without)
        only = not plan.matter.several_drafts
        known = await self._engine.store.draft_of(caller.id, command.matter) if only else ""
        case_id = new_id()
        prefilled: tuple[Prefilled, ...] = ()
        if not known:  # No source is asked for nothing.
            self._bounds.must_hold_drafts(1 + await self._engine.store.drafts_of(caller.id))
            prefilled = await self._prefiller.fill(plan.matter, case_id, plan.matter.form)

        async def work(turn: Turn) -> tuple[str, bool]:
            now = self._engine.clock()
            receipt = "" if known else await next_receipt(self._engine, turn, plan)  # Serials are locked before drafts.
            draft_id = await turn.tx.draft_of(caller.id, command.matter) if only else ""
            if known and not draft_id:
                raise VersionConflict("The draft was submitted or deleted just now; try again.", retry_after_seconds=1)
            if key:
                first = await turn.tx.remember(caller.label, key, opening.note(case_id, draft_id))
                if first is not None:
                    return first.case_id, opening.found(first)
            if draft_id:
                return draft_id, True
            event = CaseOpened(now, receipt, command.matter, plan.digest, caller.id, answers, without, prefilled)
            self._bounds.must_hold_drafts(await turn.tx.open_case(case_id, plan, event))
            await touch_draft(turn, case_id, self._engine.clock() + self._bounds.draft_life)
            return case_id, False

        made, found = await self._engine.transact(work)
        return await self._there(made), found

    async def change(self, command: ChangeAnswers) -> CaseFile:
        """Change a draft."""
        request = {
            "change": command.case_id,
            "answers": dict(command.answers),
            "without": None if command.without is None else sorted(command.without),
        }

        def events(plan: Plan, state: CaseState) -> tuple[Event, ...]:
            if state.submitted is not None:
                raise CaseNotDraft("The case is submitted and can't be changed any more.")
            check_answers(plan.matter, command.answers, command.without or ())
            changed = {name: value for name, value in command.answers.items() if state.answers.get(name, "") != value}
            without = None if command.without is None else tuple(sorted(set(command.without)))
            if not changed and without in (None, state.without):
                return ()
            return (AnswersChanged(self._engine.clock(), changed, without),)

        return await self._changed(command.case_id, command.version, command.idempotency_key, request, events)

    async def delete(self, command: DeleteDraft) -> None:
        """Delete a draft. A repeat under the same key finds it done; without a key there is nothing to find."""
        caller = citizen()
        note = Remembered(self._engine.store.digest(canonical_json({"delete": command.case_id})), command.case_id)

        async def work(turn: Turn) -> None:
            if command.idempotency_key:
                first = await turn.tx.remember(caller.label, command.idempotency_key, note)
                if first is not None:
                    _same(first, note)
                    return
            file, _ = await turn.load(command.case_id)
            _must_own(file, caller)
            if file.state.submitted is not None:
                raise CaseNotDraft("The case is submitted and can't be deleted any more.")
            await turn.delete(file)

        await self._engine.transact(work)

    async def submit(self, command: SubmitCase) -> CaseFile:
        """Submit a draft. Sources that were away when it was opened are asked once more before."""
        draft = await own_file(self._engine, command.case_id)
        repeated: tuple[Prefilled, ...] = ()
        if draft.state.submitted is None:
            pinned = await self._engine.plan_of(draft.state.definition)
            repeated = await self._repeated(draft, pinned)
            await self._shown.must_hold(draft, pinned)
        request = {"submit": command.case_id}

        def events(plan: Plan, state: CaseState) -> tuple[Event, ...]:
            if state.submitted is not None:
                return ()
            now = self._engine.clock()
            first: tuple[Event, ...] = (PrefillRepeated(now, repeated),) if repeated else ()
            prefilled = {**state.prefilled, **{one.name: one for one in repeated}}
            after = _with_prefilled(state, prefilled)
            _sources_answered(plan, after)
            check_complete(plan.matter, after.effective_answers())
            must_be_complete(plan, after)
            return (*first, *submit(plan, command.case_id, after, now))

        return await self._changed(
            command.case_id, command.version, command.idempotency_key, request, events, submitting=True
        )

    async def _changed(
        self,
        case_id: str,
        version: int | None,
        key: str,
        request: Mapping[str, object],
        events: Callable[[Plan, CaseState], Sequence[Event]],
        *,
        submitting: bool = False,
    ) -> CaseFile:
        """One change of an own case, guarded by version and idempotency key."""
        caller = citizen()
        note = Remembered(self._engine.store.digest(canonical_json(dict(request))), case_id)

        async def work(turn: Turn) -> CaseFile:
            file, plan = await turn.load(case_id)
            _must_own(file, caller)
            if key:
                first = await turn.tx.remember(caller.label, key, note)
                if first is not None:
                    _same(first, note)
                    return file
            already = submitting and file.state.submitted is not None
            if version is not None and version != file.state.version and not already:
                raise VersionConflict("The case has changed since it was read.", remedy="Read it again.")
            traceparent = current_traceparent() if submitting and not already else ""
            after = await turn.apply(file, plan, events(plan, file.state), traceparent=traceparent)
            if not submitting:
                await touch_draft(turn, case_id, self._engine.clock() + self._bounds.draft_life)
            elif not already:
                await self._must_have_room(turn, after.state)
            return after

        return await self._engine.transact(work)

    async def _must_have_room(self, turn: Turn, submitted: CaseState) -> None:
        """Decided with the submission already in it: whoever submits for the same resident comes after our commit."""
        now = submitted.submitted
        assert now is not None
        standing = await turn.tx.standing(submitted.applicant_id, submitted.matter, china_dawn(now))
        self._bounds.must_hold(standing, now)

    def _opening(self, request: dict[str, object]) -> "Opening":
        digest = self._engine.store.digest
        return Opening(digest(canonical_json(request)), digest(canonical_json({**request, "found": True})))

    async def _there(self, case_id: str) -> CaseFile:
        file = await self._engine.store.case_file(case_id)
        if file is None:
            raise CaseNotFound("The draft is deleted.", remedy="Use a new key.")
        return file

    async def _repeated(self, file: CaseFile, plan: Plan) -> tuple[Prefilled, ...]:
        """What sources that were away say now."""
        away = [
            one
            for one in plan.matter.form
            if one.name in file.state.prefilled
            and file.state.prefilled[one.name].state is PrefillState.UNAVAILABLE
            and not file.state.answers.get(one.name)
        ]
        if not away:
            return ()
        now = self._engine.clock()  # No source is asked for what would be refused.
        standing = await self._engine.store.standing(file.state.applicant_id, file.state.matter, china_dawn(now))
        self._bounds.must_hold(standing.and_one_more(), now)
        return await self._prefiller.fill(plan.matter, file.case_id, away)


def citizen() -> Caller:
    """The calling resident. Raises CitizenOnly for anybody else."""
    caller = current_caller()
    if caller.kind is not CallerKind.CITIZEN:
        raise CitizenOnly("Only a resident has cases, licenses and accesses of their own.")
    return caller


async def own_file(engine: Engine, case_id: str) -> CaseFile:
    """A case of the calling resident's. Raises CaseNotFound, CitizenOnly."""
    caller = citizen()
    file = await engine.store.case_file(case_id)
    if file is None:
        raise CaseNotFound("There is no such case.")
    _must_own(file, caller)
    return file


async def touch_draft(turn: Turn, case_id: str, due: datetime) -> None:
    """From now on the days of a draft are counted anew; when they are over, it goes."""
    await turn.tx.put_timer(Timer(case_id, WHOLE_CASE, TimerKind.DRAFT, 0, due))


def _same(first: Remembered, note: Remembered) -> Remembered:
    if first.fingerprint != note.fingerprint:
        raise IdempotencyKeyReused("The idempotency key belongs to another request.", remedy="Use a new key.")
    return first


def _must_own(file: CaseFile, caller: Caller) -> None:
    if file.state.applicant_id != caller.id:
        raise CaseNotFound("There is no such case.")


def _with_prefilled(state: CaseState, prefilled: Mapping[str, Prefilled]) -> CaseState:
    return replace(state, prefilled=prefilled)


def _sources_answered(plan: Plan, state: CaseState) -> None:
    """A required field that only its source fills can't be asked of the resident: it waits for the source."""
    for one in plan.matter.form:
        filled = state.prefilled.get(one.name)
        if one.required and one.read_only and filled is not None and filled.state is PrefillState.UNAVAILABLE:
            raise Unavailable(f"The source of {one.name} does not answer.", retry_after_seconds=5)
