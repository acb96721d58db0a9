# SPDX-License-Identifier: Apache-2.0
"""Agencies and their rights."""

from services.identity.domain.agency import Agency, AgencyNotFound, put
from services.identity.domain.digits import folded
from services.identity.service.ports import Store
from services.kit.caller import Caller

PAGE_SIZE = 50
PAGE_SIZE_MAX = 200


class AgenciesService:
    """What an operator decides and every service asks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, wanted: Agency, caller: Caller) -> Agency:
        """The agency that is then in force; putting the same again changes nothing and tells nothing."""
        caller.must("identity.agencies")
        async with self._store.transaction() as tx:
            before = await tx.agency(wanted.uscc)
            after, fact = put(before, wanted)
            if fact is not None:
                await tx.save_agency(after)
                await tx.record(fact)
        return after

    async def agency(self, uscc: str, caller: Caller) -> Agency:
        """The agency with this code."""
        caller.must("identity.agencies")
        agency = await self._store.agency(folded(uscc))
        if agency is None:
            raise AgencyNotFound("No agency has this code.")
        return agency

    async def agencies(self, *, after: str, page_size: int, caller: Caller) -> tuple[tuple[Agency, ...], str]:
        """A page by code, and the code that the next page goes on after; empty on the last page."""
        caller.must("identity.agencies")
        size = min(page_size or PAGE_SIZE, PAGE_SIZE_MAX)
        rows = await self._store.agencies(after=after, limit=size + 1)
        page = rows[:size]
        return page, page[-1].uscc if len(rows) > size else ""
