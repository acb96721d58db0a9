# SPDX-License-Identifier: Apache-2.0
"""Resources: changed by operators, read by those who may."""

from dataclasses import replace

from services.exchange.domain.change import NoticeState
from services.exchange.domain.resource import Resource, ResourceChanged, check_resource
from services.exchange.domain.settings import keep_secrets
from services.exchange.domain.version import By, differences
from services.exchange.service.notices import Look, look, notify, told_of
from services.exchange.service.ports import Store, Transaction
from services.exchange.service.rulebook import Rulebook
from services.kit.caller import Caller
from services.kit.clock import Clock
from services.kit.ids import derived_id
from services.kit.paging import Page

PAGE_SIZE = 50


class CatalogueService:
    """Keeps the catalogue."""

    def __init__(self, store: Store, rulebook: Rulebook, *, clock: Clock, region: str) -> None:
        self._store = store
        self._rulebook = rulebook
        self._clock = clock
        self._region = region

    async def put_resource(self, resource: Resource, caller: Caller) -> Resource:
        """Create or replace a resource; one that stays the same tells nobody anything."""
        caller.must("exchange.catalogue")
        resource = replace(resource, region=resource.region or self._region)
        async with self._store.transaction() as tx:
            stored = await tx.find_resource(resource.code)
        changes = stored is not None and differences(stored, resource)
        looked = await look(self._store, stored, resource, now=self._clock()) if changes else None
        async with self._store.transaction() as tx:
            before = await tx.find_resource(resource.code)
            if before is not None and before.adapter is resource.adapter:
                kept = keep_secrets(resource.adapter, resource.settings, before.settings)
                resource = replace(resource, settings=kept)
            check_resource(resource, region=self._region)
            if before is not None and replace(resource, revision=before.revision) == before:
                return before
            after = replace(resource, revision=before.revision + 1 if before is not None else 1)
            await tx.save_resource(after, now=self._clock(), by=By(caller.label))
            await tx.record(ResourceChanged(after.code))
            if before is not None and differences(before, after):
                await self._notify(tx, before, after, looked)
        self._rulebook.forget_resource(after.code)
        return after

    async def _notify(self, tx: Transaction, before: Resource, after: Resource, looked: Look | None) -> None:
        now = self._clock()
        told = await told_of(tx, looked, before, after, now=now)
        change_id = derived_id("put", after.code, str(after.revision))
        await notify(tx, told, change_id=change_id, after=after, state=NoticeState.IN_EFFECT, times=(now, now))

    async def get_resource(self, code: str, caller: Caller) -> Resource:
        """Read one resource. Raises ResourceNotFound."""
        caller.must("exchange.read")
        return await self._store.read_resource(code)

    async def list_resources(self, *, page_size: int, page_token: str, caller: Caller) -> Page[Resource]:
        """Give resources by code."""
        caller.must("exchange.read")
        return await self._store.list_resources(page_size=page_size or PAGE_SIZE, page_token=page_token)
