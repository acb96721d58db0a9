# SPDX-License-Identifier: Apache-2.0
"""Suspending, restoring, revoking: by the issuer only, with grounds, and the holder can see who did it."""

from collections.abc import Callable

from services.kit.caller import Caller
from services.kit.clock import Clock
from services.kit.errors import RequestIdReused
from services.kit.ledger.access import Access
from services.licenses.domain.license import (
    License,
    LicenseNotFound,
    LicenseRestored,
    LicenseRevoked,
    LicenseSuspended,
    restore,
    revoke,
    suspend,
)
from services.licenses.service.commands import ChangeLicense, Issued, canonical
from services.licenses.service.port import Account, LicensesStore, LicensesTx, Note, Request

BASIS = "Order 716 art. 10"
PURPOSE = "license_keeping"

_Transition = Callable[[License], tuple[License, LicenseSuspended | LicenseRestored | LicenseRevoked]]


class Changing:
    """Changes the state of licenses."""

    def __init__(self, store: LicensesStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def suspend(self, command: ChangeLicense, caller: Caller) -> Issued:
        """Take a license out of force.

        Raises:
            RightMissing: The agency may not suspend.
            LicenseNotFound: There is none, or another agency issued it.
            LicenseNotActive: It is not in force.
            RequestIdReused: The request id came with another request before.
        """
        caller.must("licenses.suspend")
        return await self._change("suspend", command, caller, lambda before: suspend(before, now=self._clock()))

    async def restore(self, command: ChangeLicense, caller: Caller) -> Issued:
        """Put a suspended license back in force.

        Raises:
            RightMissing: The agency may not suspend.
            LicenseNotFound: There is none, or another agency issued it.
            LicenseNotSuspended: It is not suspended.
            RequestIdReused: The request id came with another request before.
        """
        caller.must("licenses.suspend")
        return await self._change("restore", command, caller, lambda before: restore(before, now=self._clock()))

    async def revoke(self, command: ChangeLicense, caller: Caller) -> Issued:
        """End a license for good.

        Raises:
            RightMissing: The agency may not revoke.
            LicenseNotFound: There is none, or another agency issued it.
            LicenseEnded: It had ended already.
            RequestIdReused: The request id came with another request before.
        """
        caller.must("licenses.revoke")
        return await self._change("revoke", command, caller, revoke)

    async def _change(self, change: str, command: ChangeLicense, caller: Caller, transition: _Transition) -> Issued:
        access = Access(
            f"licenses.{change.capitalize()}License",
            "",
            PURPOSE,
            BASIS,
            fields=("state",),
            resource=command.license_id,
            on_behalf_of=caller.agency,
        )
        key = f"{caller.label}:{command.request_id}"
        fingerprint = self._store.digest(canonical(change, command.license_id, command.grounds))
        async with self._store.ledger.account(access) as account, self._store.transaction() as tx:
            await tx.first_sight(key)
            before = await self._own(tx, command.license_id, caller, account)
            earlier = await tx.request(key)
            if earlier is not None:
                account.receipt = earlier.receipt
                return _again(before, earlier, fingerprint)
            after, fact = transition(before)
            await tx.save(after)
            await tx.note(Note(after.license_id, change, self._clock(), caller.label, command.grounds))
            await tx.record(fact)
            account.receipt = await tx.leaf(account.access)
            state = after.state_at(self._clock())
            await tx.remember(Request(key, fingerprint, after.license_id, state, account.receipt))
            return Issued(after, state, account.receipt)

    async def _own(self, tx: LicensesTx, license_id: str, caller: Caller, account: Account) -> License:
        license = await tx.license(license_id)
        if license is not None:
            account.access = account.access._replace(subject_id=license.holder_id, case_id=license.case_id)
        if license is None or license.identifier.issuer != caller.agency:
            raise LicenseNotFound("The calling agency has issued no such license.")
        return license


def _again(before: License, earlier: Request, fingerprint: str) -> Issued:
    if earlier.fingerprint != fingerprint:
        raise RequestIdReused("The request id came with another request before.", remedy="Use a new request id.")
    return Issued(before, earlier.state, earlier.receipt)
