# SPDX-License-Identifier: Apache-2.0
"""Reading: the holder, the guardian who applied, the issuer; for everybody else there is no such license."""

import asyncio

from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.ledger.access import Access, content_digest
from services.kit.paging import Page
from services.licenses.domain.license import License, LicenseNotFound, LicenseState
from services.licenses.service.commands import Shown
from services.licenses.service.port import LicensesStore

PAGE_SIZE = 50

_OWN = ("own_license", "PIPL art. 45")
_GUARDIAN = ("guardian", "PIPL art. 31, art. 45")
_ISSUER = ("license_keeping", "Order 716 art. 10")
_STRANGER = ("unknown", "none")


class Reading:
    """Shows licenses, each time with a leaf."""

    def __init__(self, store: LicensesStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, license_id: str, caller: Caller) -> Shown:
        """Show one license with its credential.

        Raises:
            RightMissing: The agency may not read.
            LicenseNotFound: There is none, or the caller is neither holder nor second reader nor issuer. The
                attempt is a leaf either way, and takes as long either way.
        """
        if caller.kind is not CallerKind.CITIZEN:
            caller.must("licenses.read")
        license = await self._store.find(license_id)
        grounds = _STRANGER if license is None else _grounds(license, caller)
        access = Access(
            "licenses.GetLicense",
            "" if license is None else license.holder_id,
            *grounds,
            resource=license_id,
            on_behalf_of=caller.agency,
        )
        async with self._store.ledger.account(access) as account:
            if license is None or grounds is _STRANGER:
                raise LicenseNotFound("There is no such license, or it is not yours to read.")
            content = await self._store.content(license)
            receipt = await account.answered(
                fields=tuple(content.attributes), digest=content_digest(content.credential.encode())
            )
        return Shown(license, license.state_at(self._clock()), content.credential, content.attributes, receipt)

    async def own(self, caller: Caller, page_size: int, page_token: str) -> Page[tuple[License, LicenseState]]:
        """List the licenses that the calling resident holds or may read as a guardian, newest first.

        One leaf for each holder on the page: the list tells which licenses they have.

        Raises:
            PageTokenInvalid: The token is not one of ours.
        """
        caller.must("")
        page = await self._store.of_reader(caller.id, page_size or PAGE_SIZE, page_token)
        holders = sorted({one.holder_id for one in page.rows}) or [caller.id]
        await asyncio.gather(*(self._store.ledger.append(_listed(holder, caller)) for holder in holders))
        now = self._clock()
        return Page(tuple((one, one.state_at(now)) for one in page.rows), page.next_token)


def _grounds(license: License, caller: Caller) -> tuple[str, str]:
    if caller.kind is CallerKind.CITIZEN:
        if caller.id == license.holder_id:
            return _OWN
        return _GUARDIAN if caller.id in license.readers else _STRANGER
    if caller.kind is CallerKind.AGENCY and caller.agency == license.identifier.issuer:
        return _ISSUER
    return _STRANGER


def _listed(holder_id: str, caller: Caller) -> Access:
    purpose, basis = _OWN if holder_id == caller.id else _GUARDIAN
    return Access("licenses.ListOwnLicenses", holder_id, purpose, basis, fields=("type", "identifier", "state"))
