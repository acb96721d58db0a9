# SPDX-License-Identifier: Apache-2.0
"""Steps of cases: the license, its leaf and the answer to the case engine in one transaction."""

from contextlib import suppress

from services.kit.clock import Clock
from services.kit.errors import Refusal, Unavailable, VersionConflict
from services.kit.ids import derived_id
from services.kit.ledger.access import Access
from services.licenses.domain.license import Draft, License, LicenseEnded, LicenseState, revoke
from services.licenses.domain.step import (
    SUBJECT,
    Step,
    StepAnswered,
    StepInputIncomplete,
    StepOutcome,
    serial_of,
)
from services.licenses.service.commands import StepLicense, UndoLicense
from services.licenses.service.ending import REVOKING
from services.licenses.service.issuing import OPERATION, Issuing
from services.licenses.service.port import LicensesStore, LicensesTx, Note

GIVEN_UP = "The case that it was issued for was given up."


class Steps:
    """Answers the steps that ask for a license."""

    def __init__(self, store: LicensesStore, issuing: Issuing, *, clock: Clock) -> None:
        self._store = store
        self._issuing = issuing
        self._clock = clock

    async def answer(self, wanted: StepLicense, *, delivery_id: str) -> None:
        """Issue what the step asks for and tell it, or tell why not. A delivery that was answered changes nothing.

        A later attempt of a step whose license stands already (the answer was late or got lost) is answered with
        that license; a new version comes only of another wish.

        Raises:
            Unavailable: Somebody issues the same serial at this moment; the delivery comes again.
        """
        access = Access(
            OPERATION,
            wanted.holder_id,
            wanted.purpose,
            wanted.basis,
            on_behalf_of=wanted.issuer,
            case_id=wanted.step.case_id,
        )
        try:
            async with self._store.transaction() as tx:
                if await tx.first_sight(delivery_id):
                    await self._issue(tx, wanted, access)
        except VersionConflict as conflict:
            raise Unavailable("The same serial is being issued at this moment.") from conflict
        except Refusal as refusal:
            await self._refuse(wanted.step, access, refusal, delivery_id=delivery_id)

    async def undo(self, wanted: UndoLicense, *, delivery_id: str) -> None:
        """Revoke the license that a step of the case got, and tell it; one that never was, or has ended, is undone already."""
        async with self._store.transaction() as tx:
            if not await tx.first_sight(delivery_id):
                return
            found = await tx.of_step(wanted.step.case_id, wanted.undoes)
            with suppress(LicenseEnded):
                if found is not None:
                    await self._revoke(tx, found[0], wanted)
            await tx.record(StepAnswered(wanted.step, StepOutcome.DONE))

    async def _revoke(self, tx: LicensesTx, before: License, wanted: UndoLicense) -> None:
        after, fact = revoke(before)
        await tx.save(after)
        await tx.note(Note(after.license_id, "revoke", self._clock(), "service:gateway", GIVEN_UP))
        await tx.record(fact)
        access = Access(
            REVOKING,
            after.holder_id,
            wanted.purpose,
            wanted.basis,
            fields=("state",),
            resource=after.license_id,
            on_behalf_of=wanted.issuer,
            case_id=wanted.step.case_id,
        )
        await tx.leaf(access)

    async def refuse(self, step: Step, refusal: Refusal, *, delivery_id: str) -> None:
        """Tell that the step's input can't be acted on. There is nobody known whom it is about, so no leaf."""
        await self._refuse(step, None, refusal, delivery_id=delivery_id)

    async def _issue(self, tx: LicensesTx, wanted: StepLicense, access: Access) -> None:
        draft = _draft(wanted)
        before = await tx.of_step(wanted.step.case_id, wanted.step.step_id)
        if before is not None and self._stands(before, draft, wanted):
            license = before[0]
        else:
            license = (await self._issuing.sign(tx, draft, wanted.attributes, access)).license
        await tx.record(StepAnswered(wanted.step, StepOutcome.DONE, output=_output(license)))

    def _stands(self, before: tuple[License, str], draft: Draft, wanted: StepLicense) -> bool:
        license, fingerprint = before
        in_force = license.state_at(self._clock()) is LicenseState.ACTIVE
        return in_force and fingerprint == self._issuing.fingerprint(draft, wanted.attributes)

    async def _refuse(self, step: Step, access: Access | None, refusal: Refusal, *, delivery_id: str) -> None:
        async with self._store.transaction() as tx:
            if not await tx.first_sight(delivery_id):
                return
            await tx.record(StepAnswered(step, StepOutcome.REFUSED, reason=refusal.reason))
            if access is not None:
                await tx.leaf(access._replace(outcome=refusal.reason))


def _draft(wanted: StepLicense) -> Draft:
    subjects = (wanted.holder_id, *filter(None, (wanted.reader_id,)))
    if not all(map(SUBJECT.fullmatch, subjects)) or not wanted.issuer or not wanted.type_code:
        raise StepInputIncomplete(
            "The step must name type, holder and issuer, and whoever else may read it by subject id."
        )
    step = wanted.step
    return Draft(
        type_code=wanted.type_code,
        issuer=wanted.issuer,
        serial=wanted.serial or serial_of(derived_id(step.case_id, step.step_id)),
        holder_id=wanted.holder_id,
        reader_id=wanted.reader_id,
        case_id=step.case_id,
        step_id=step.step_id,
    )


def _output(license: License) -> dict[str, str]:
    return {
        "license_id": license.license_id,
        "identifier": str(license.identifier),
        "version": str(license.identifier.version),
    }
