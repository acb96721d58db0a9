# SPDX-License-Identifier: Apache-2.0
"""The roster: who works in a department, on what and where, and who stands in for whom."""

from collections.abc import Iterable

from services.gateway.domain.inbox import Absence, Clerk, must_be_sound
from services.gateway.domain.refusals import ClerkUnknown
from services.gateway.service.inbox.office import SUPERVISES, Office, clerk, supervisor
from services.gateway.service.inbox.views import AbsenceView, ClerkView
from services.kit.paging import Page, encode_token, text_after
from services.kit.text import Text

PAGE_DEFAULT = 50
PAGE_MAX = 200


class InboxPeople:
    """Every method acts for the calling clerk's department."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def clerks(self, *, page_size: int = 0, page_token: str = "") -> Page[ClerkView]:
        """Lists the roster by account: to whom a task can be given, and who stands in for whom."""
        agency = clerk().agency
        size = min(page_size or PAGE_DEFAULT, PAGE_MAX)
        after = text_after(page_token, "clerk")
        found = await self._office.store.roster(agency, size + 1, after)
        rows = await self._views(found[:size])
        return Page(rows, encode_token(clerk=found[size - 1].clerk_id) if len(found) > size else "")

    async def clerk(self, clerk_id: str) -> ClerkView:
        """Reads one of the roster. CLERK_UNKNOWN."""
        return (await self._views([await self._known(clerk_id)]))[0]

    async def put_clerk(
        self, clerk_id: str, *, name: Text, region: str, skills: Iterable[str], active: bool
    ) -> ClerkView:
        """Puts a clerk on the roster as given; for supervisors. RIGHT_MISSING."""
        put = Clerk(supervisor().agency, clerk_id, name, region, frozenset(skills), active)
        async with self._office.store.transaction() as tx:
            await tx.put_clerk(put)
        return (await self._views([put]))[0]

    async def put_absence(self, absence: Absence) -> ClerkView:
        """Says when a clerk is away and who stands in; for the clerk, and for supervisors.

        RIGHT_MISSING, CLERK_UNKNOWN (of the substitute, too), ABSENCE_INVALID.
        """
        _must_speak_for(absence.clerk_id)
        must_be_sound(absence)
        away = await self._known(absence.clerk_id)
        await self._known(absence.substitute)
        async with self._office.store.transaction() as tx:
            await tx.put_absence(away.agency, absence)
        return (await self._views([away]))[0]

    async def drop_absence(self, clerk_id: str) -> None:
        """Says that a clerk is there again. RIGHT_MISSING, CLERK_UNKNOWN. One who was never away is there."""
        _must_speak_for(clerk_id)
        known = await self._known(clerk_id)
        async with self._office.store.transaction() as tx:
            await tx.drop_absence(known.agency, clerk_id)

    async def _known(self, clerk_id: str) -> Clerk:
        found = await self._office.store.clerks_of(clerk().agency, [clerk_id])
        if not found:
            raise ClerkUnknown("The department's roster has no such clerk.")
        return found[0]

    async def _views(self, found: Iterable[Clerk]) -> tuple[ClerkView, ...]:
        away = {one.clerk_id: one for one in await self._office.absences()}
        return tuple(_view(one, away.get(one.clerk_id)) for one in found)


def _must_speak_for(clerk_id: str) -> None:
    caller = clerk()
    if caller.id != clerk_id:
        caller.must(SUPERVISES)


def _view(one: Clerk, absence: Absence | None) -> ClerkView:
    shown = AbsenceView(absence.first, absence.last, absence.substitute) if absence else None
    return ClerkView(one.clerk_id, one.name, one.region, tuple(sorted(one.skills)), one.active, shown)
