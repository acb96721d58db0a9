# SPDX-License-Identifier: Apache-2.0
"""Steps of cases that end licenses: whoever has died, whatever was sold, keeps nothing that a verifier would believe."""

from collections.abc import AsyncIterator

from services.kit.clock import Clock
from services.kit.errors import Refusal
from services.kit.ledger.access import Access
from services.licenses.domain.catalogue import Attributes
from services.licenses.domain.license import (
    License,
    LicenseRevoked,
    LicenseSuperseded,
    revoke,
    supersede,
)
from services.licenses.domain.step import SUBJECT, StepAnswered, StepInputIncomplete, StepOutcome, SuccessorUnknown
from services.licenses.service.commands import EndLicenses
from services.licenses.service.port import LicensesStore, LicensesTx, Note

REVOKING, SUPERSEDING = "licenses.RevokeLicense", "licenses.SupersedeLicense"


class Ending:
    """Ends what an agency has issued to a holder, as a step of a case asks for."""

    def __init__(self, store: LicensesStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def answer(self, wanted: EndLicenses, *, delivery_id: str) -> None:
        """End every license that is meant, each with its fact, note and leaf, and tell that it is done.

        Who holds none is done as well: there may be a paper only. A delivery that was answered changes nothing.
        """
        access = Access(
            SUPERSEDING if wanted.successor_id else REVOKING,
            wanted.holder_id,
            wanted.purpose,
            wanted.basis,
            fields=("state",),
            resource=wanted.type_code,
            on_behalf_of=wanted.issuer,
            case_id=wanted.step.case_id,
        )
        async with self._store.transaction() as tx:
            if not await tx.first_sight(delivery_id):
                return
            try:
                successor = await _successor(tx, wanted)
            except Refusal as refusal:
                await tx.record(StepAnswered(wanted.step, StepOutcome.REFUSED, refusal.reason))
                await tx.leaf(access._replace(outcome=refusal.reason))
                return
            ended = [await self._end(tx, one, successor) async for one in _meant(tx, wanted)]
            await tx.record(StepAnswered(wanted.step, StepOutcome.DONE))
            for resource in [one.license_id for one in ended] or [wanted.type_code]:
                await tx.leaf(access._replace(resource=resource))

    async def _end(self, tx: LicensesTx, before: License, successor: License | None) -> License:
        fact: LicenseRevoked | LicenseSuperseded
        after, fact = revoke(before) if successor is None else supersede(before, successor)
        await tx.save(after)
        change = "revoke" if successor is None else "supersede"
        await tx.note(Note(after.license_id, change, self._clock(), "service:gateway", "A step of a case ended it."))
        await tx.record(fact)
        return after


async def _successor(tx: LicensesTx, wanted: EndLicenses) -> License | None:
    """The license that takes the place of the others: one that the same case has led to."""
    if not SUBJECT.fullmatch(wanted.holder_id) or not wanted.issuer or not wanted.type_code:
        raise StepInputIncomplete("The step must name type, holder and issuer.")
    if not wanted.successor_id:
        return None
    found = await tx.license(wanted.successor_id)
    if found is None or found.case_id != wanted.step.case_id:
        raise SuccessorUnknown("The case has led to no such license.")
    return found


async def _meant(tx: LicensesTx, wanted: EndLicenses) -> AsyncIterator[License]:
    """What the holder has of this type from this issuer and that says so; never the successor itself."""
    after = ""
    while page := await tx.held(wanted.type_code, wanted.issuer, wanted.holder_id, after=after):
        for license, attributes in page:
            if license.license_id != wanted.successor_id and _says(attributes, wanted.attributes):
                yield license
        after = page[-1][0].license_id


def _says(attributes: Attributes, wanted: Attributes) -> bool:
    return all(attributes.get(name) == value for name, value in wanted.items())
