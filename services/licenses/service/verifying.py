# SPDX-License-Identifier: Apache-2.0
"""Verifying: every check named, no attribute moved."""

from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import Refusal
from services.kit.ledger.access import Access
from services.licenses.credentials.vc import Examiner
from services.licenses.domain.catalogue import Catalogue
from services.licenses.domain.identifier import LicenseIdentifier
from services.licenses.domain.license import License, LicenseState
from services.licenses.domain.verdict import Check, CheckName, Verdict, check_record, check_state, unchecked
from services.licenses.service.port import LicensesStore

_AFTER_IDENTIFIER = (CheckName.TYPE, CheckName.RECORD, CheckName.DATES, CheckName.STATE)


class Verifying:
    """Tells whether a license can be relied on, and if not, why."""

    def __init__(self, store: LicensesStore, catalogue: Catalogue, examiner: Examiner, *, clock: Clock) -> None:
        self._store = store
        self._catalogue = catalogue
        self._examiner = examiner
        self._clock = clock

    async def identifier(self, text: str, caller: Caller) -> Verdict:
        """Look up an identifier: is it well written, of a known type, on record, in date and in force?

        Raises:
            RightMissing: The agency may not verify.
        """
        _ask(caller)
        try:
            identifier = LicenseIdentifier.parse(text)
        except Refusal as refusal:
            return Verdict((Check(CheckName.IDENTIFIER, refusal.reason), *unchecked(_AFTER_IDENTIFIER)))
        known_type = self._catalogue.get(identifier.type_code) is not None
        found = await self._store.find_identified(identifier)
        license = None if found is None else found[0]
        checks = (
            Check(CheckName.IDENTIFIER),
            Check(CheckName.TYPE, "" if known_type else "LICENSE_TYPE_UNKNOWN"),
            check_record(license, same_words=True),
            self._dates(license),
            check_state(license, self._clock()),
        )
        return await self._told(checks, license, caller)

    async def credential(self, text: str, caller: Caller) -> Verdict:
        """Examine a credential, with any of its disclosures, and compare it with the record.

        The record is looked up only where signature and chain hold: a forgery learns nothing of the license
        that it names.

        Raises:
            RightMissing: The agency may not verify.
        """
        _ask(caller)
        now = self._clock()
        examination = self._examiner.examine(text, now=now)
        if examination.identifier is None:
            return Verdict((*examination.checks, *unchecked((CheckName.RECORD, CheckName.STATE))))
        found = await self._store.find_identified(examination.identifier)
        license = None if found is None else found[0]
        same_words = found is not None and found[1] == examination.words
        checks = (*examination.checks, check_record(license, same_words=same_words), check_state(license, now))
        return await self._told(checks, license, caller)

    def _dates(self, license: License | None) -> Check:
        if license is None:
            return unchecked((CheckName.DATES,))[0]
        expired = license.state_at(self._clock()) is LicenseState.EXPIRED
        return Check(CheckName.DATES, "LICENSE_EXPIRED" if expired else "")

    async def _told(self, checks: tuple[Check, ...], license: License | None, caller: Caller) -> Verdict:
        """Give the verdict; the holder can see who asked. Without a record there is nobody to tell about."""
        if license is None:
            return Verdict(checks)
        verdict = Verdict(checks, license.state_at(self._clock()))
        await self._store.ledger.append(
            Access(
                "licenses.VerifyLicense",
                license.holder_id,
                "license_verification",
                "Order 716 art. 11",
                fields=("state",),
                resource=str(license.identifier),
                on_behalf_of=caller.agency,
                outcome="valid" if verdict.valid else "not_valid",
            )
        )
        return verdict


def _ask(caller: Caller) -> None:
    if caller.kind is not CallerKind.CITIZEN:
        caller.must("licenses.verify")
