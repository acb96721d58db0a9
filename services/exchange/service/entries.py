# SPDX-License-Identifier: Apache-2.0
"""Entries of the catalogue over time: versions side by side, and how good they were found to be."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta, timezone
from typing import Protocol

from services.exchange.domain.metadata import QualityMeasure, QualityRecorded, check_quality
from services.exchange.domain.refusals import ResourceNotOwned
from services.exchange.domain.resource import Resource
from services.exchange.domain.version import Difference, Version, differences
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.paging import Page

PAGE_SIZE = 20
_CHINA = timezone(timedelta(hours=8), "UTC+8")


class EntryTransaction(Protocol):
    """What a measure writes."""

    async def first_sight(self, id: str, *asked: str) -> bool:
        """Tell whether this request has had no effect yet. Raises RequestIdReused where it asked for something else."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""

    async def resource(self, code: str) -> Resource:
        """Read a resource and lock it. Raises ResourceNotFound."""

    async def save_quality(self, code: str, measure: QualityMeasure) -> None:
        """Write what was measured on a day; measured again on it, the later holds."""


class EntryStore(Protocol):
    """Versions and measures."""

    def transaction(self) -> AbstractAsyncContextManager[EntryTransaction]:
        """Open a transaction."""

    async def read_version(self, code: str, revision: int) -> Version:
        """Read one version. Raises ResourceNotFound."""

    async def list_versions(self, code: str, *, page_size: int, page_token: str) -> Page[Version]:
        """Give versions, newest first. Raises ResourceNotFound."""

    async def list_quality(self, code: str) -> Sequence[QualityMeasure]:
        """Give the newest measures, newest first."""


class EntryService:
    """Tells what an entry was, and keeps what was measured of it."""

    def __init__(self, store: EntryStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def version(self, code: str, revision: int, caller: Caller) -> Version:
        """Read one version, without how the resource is reached. Raises ResourceNotFound."""
        caller.must("exchange.read")
        return await self._store.read_version(code, revision)

    async def versions(self, code: str, *, page_size: int, page_token: str, caller: Caller) -> Page[Version]:
        """Give versions, newest first. Raises ResourceNotFound."""
        caller.must("exchange.read")
        return await self._store.list_versions(code, page_size=page_size or PAGE_SIZE, page_token=page_token)

    async def compare(self, code: str, earlier: int, later: int, caller: Caller) -> Sequence[Difference]:
        """Tell what differs between two versions. Raises ResourceNotFound."""
        caller.must("exchange.read")
        before = await self._store.read_version(code, earlier)
        after = await self._store.read_version(code, later)
        return differences(before.resource, after.resource)

    async def quality(self, code: str) -> Sequence[QualityMeasure]:
        """Give the newest measures, newest first."""
        return await self._store.list_quality(code)

    async def record_quality(
        self, request_id: str, code: str, measure: QualityMeasure, caller: Caller
    ) -> QualityMeasure:
        """Keep a measure. Raises ResourceNotFound, ResourceNotOwned, RequestInvalid, RequestIdReused."""
        caller.must("exchange.catalogue")
        check_quality(measure, today=self._clock().astimezone(_CHINA).date())
        async with self._store.transaction() as tx:
            must_own(await tx.resource(code), caller)
            if await tx.first_sight(request_id, code, repr(measure)):
                await tx.save_quality(code, measure)
                await tx.record(QualityRecorded(code, measure.measure_date))
        return measure


def must_own(resource: Resource, caller: Caller) -> None:
    """Refuse an agency that speaks for another's resource; operators speak for all."""
    if caller.kind is not CallerKind.OPERATOR and (caller.agency or caller.id) != resource.provider:
        raise ResourceNotOwned("The resource is another agency's.")
