# SPDX-License-Identifier: Apache-2.0
"""Issuing: the license, its credential, its facts and its leaf in one transaction."""

from services.kit.caller import Caller
from services.kit.clock import Clock
from services.kit.errors import RequestIdReused
from services.kit.ids import new_id
from services.kit.ledger.access import Access, Receipt, content_digest
from services.licenses.credentials import vc
from services.licenses.credentials.signers import Signers
from services.licenses.domain.catalogue import Attributes, Catalogue, LicenseType
from services.licenses.domain.license import Draft, License, issue, supersede
from services.licenses.service.commands import Issued, IssueLicense, canonical
from services.licenses.service.port import Content, LicensesStore, LicensesTx, Request

BASIS = "Order 716 art. 10"
PURPOSE = "license_issue"
OPERATION = "licenses.IssueLicense"


class Issuing:
    """Signs new licenses and new versions of old ones."""

    def __init__(self, store: LicensesStore, catalogue: Catalogue, signers: Signers, *, clock: Clock) -> None:
        self._store = store
        self._catalogue = catalogue
        self._signers = signers
        self._clock = clock

    def types(self) -> tuple[LicenseType, ...]:
        """List what can be issued."""
        return self._catalogue.types

    async def issue(self, command: IssueLicense, caller: Caller) -> Issued:
        """Issue a license of the calling agency; the same request gives the same answer and one license.

        Raises:
            RightMissing: The agency may not issue.
            RequestIdReused: The request id came with another request before.
            LicenseTypeUnknown, AttributesMissing, AttributesUnknown, AttributesMalformed: It can't be said so.
            SignerMissing: The agency has no document signer.
            SerialTaken, PredecessorSuspended, PredecessorRevoked, VersionsExhausted: It can't be a new version.
            VersionConflict: Somebody else issued the same version at this moment.
        """
        caller.must("licenses.issue")
        draft = Draft(command.type_code, caller.agency, command.serial, command.holder_id, case_id=command.case_id)
        access = Access(OPERATION, draft.holder_id, PURPOSE, BASIS, on_behalf_of=draft.issuer, case_id=draft.case_id)
        key = f"{caller.label}:{command.request_id}"
        fingerprint = self.fingerprint(draft, command.attributes)
        async with self._store.ledger.account(access) as account, self._store.transaction() as tx:
            await tx.first_sight(key)
            earlier = await tx.request(key)
            if earlier is not None:
                issued = await self._again(tx, earlier, fingerprint)
            else:
                issued = await self.sign(tx, draft, command.attributes, access)
                await tx.remember(Request(key, fingerprint, issued.license.license_id, issued.state, issued.receipt))
            account.receipt = issued.receipt
        return issued

    async def sign(self, tx: LicensesTx, draft: Draft, attributes: Attributes, access: Access) -> Issued:
        """Make the version, sign it, end the one before, tell the facts, write the leaf."""
        of_type = self._catalogue.type_of(draft.type_code)
        said = of_type.check(attributes)
        signer = self._signers.of(draft.issuer)
        before = await tx.newest(draft.type_code, draft.issuer, draft.serial)
        after, fact = issue(
            draft, before, license_id=new_id(), validity_months=of_type.validity_months, now=self._clock()
        )
        credential = vc.sign(after, of_type, said, signer)
        await tx.add(after, Content(said, credential, vc.words(credential), self.fingerprint(draft, attributes)))
        if before is not None:
            await _end(tx, before, after)
        await tx.record(fact)
        receipt = await self._leaf(tx, access, after, said, credential)
        return Issued(after, after.state, receipt)

    def fingerprint(self, draft: Draft, attributes: Attributes) -> str:
        """Give the keyed digest by which the same wish is known again."""
        return self._store.digest(
            canonical(
                "issue", draft.type_code, draft.issuer, draft.serial, draft.holder_id, draft.case_id, dict(attributes)
            )
        )

    async def _leaf(self, tx: LicensesTx, access: Access, after: License, said: Attributes, credential: str) -> Receipt:
        return await tx.leaf(
            access._replace(
                fields=tuple(said),
                resource=str(after.identifier),
                digest=content_digest(credential.encode()),
            )
        )

    async def _again(self, tx: LicensesTx, earlier: Request, fingerprint: str) -> Issued:
        license = await tx.license(earlier.license_id)
        if earlier.fingerprint != fingerprint or license is None:
            raise RequestIdReused("The request id came with another request before.", remedy="Use a new request id.")
        return Issued(license, earlier.state, earlier.receipt)


async def _end(tx: LicensesTx, before: License, after: License) -> None:
    ended, fact = supersede(before, after)
    await tx.save(ended)
    await tx.record(fact)
