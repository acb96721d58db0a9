# SPDX-License-Identifier: Apache-2.0
"""What providers say about themselves: policies, promises, maintenance."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.exchange.domain.providers import (
    AnswerPolicy,
    Maintenance,
    ProviderTermsChanged,
    ServiceLevel,
    announce,
    cancel,
    check_level,
    check_policy,
)
from services.exchange.domain.refusals import ResourceNotOwned
from services.exchange.service.providers.ports import ProviderStore
from services.exchange.service.providers.terms import Terms
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import RequestIdReused, Unavailable
from services.kit.ids import derived_id

RIGHT = "exchange.provide"


@dataclass(frozen=True, slots=True)
class AnnounceMaintenance:
    """Announce a window."""

    request_id: str
    provider: str
    resource: str
    begin_time: datetime
    end_time: datetime
    grounds: str


class ProviderDesk:
    """An agency speaks for itself; an operator for everybody, and without notice."""

    def __init__(self, store: ProviderStore, terms: Terms, *, clock: Clock, notice_hours: float) -> None:
        self._store = store
        self._terms = terms
        self._clock = clock
        self._notice = timedelta(hours=notice_hours)

    async def put_policy(self, policy: AnswerPolicy, request_id: str, caller: Caller) -> AnswerPolicy:
        """State how answers of a resource may be treated. Raises ResourceNotFound, ResourceNotOwned, RequestInvalid, RequestIdReused."""
        caller.must(RIGHT)
        check_policy(policy)
        async with self._store.transaction() as tx:
            resource = await tx.resource(policy.resource)
            _must_speak_for(caller, resource.provider)
            if await tx.first_sight(request_id, repr(policy)):
                await tx.save_policy(policy, now=self._clock())
                await tx.record(ProviderTermsChanged(resource.provider, policy.resource))
        await self._refresh()
        return policy

    async def put_level(self, level: ServiceLevel, request_id: str, caller: Caller) -> ServiceLevel:
        """State what a provider promises. Raises ResourceNotOwned, RequestInvalid, RequestIdReused."""
        caller.must(RIGHT)
        check_level(level)
        _must_speak_for(caller, level.provider)
        async with self._store.transaction() as tx:
            if await tx.first_sight(request_id, repr(level)):
                await tx.save_level(level, now=self._clock())
                await tx.record(ProviderTermsChanged(level.provider, ""))
        return level

    async def announce(self, command: AnnounceMaintenance, caller: Caller) -> Maintenance:
        """Announce maintenance. Raises MaintenanceNotPossible, ResourceNotFound, ResourceNotOwned, RequestIdReused."""
        caller.must(RIGHT)
        _must_speak_for(caller, command.provider)
        now = self._clock()
        window = Maintenance(
            maintenance_id=derived_id("maintenance", caller.id, command.request_id),
            provider=command.provider,
            resource=command.resource,
            begin_time=command.begin_time,
            end_time=command.end_time,
            grounds=command.grounds,
        )
        async with self._store.transaction() as tx:
            if not await tx.first_sight(command.request_id):
                before = await tx.find_maintenance(window.maintenance_id)
                if before is None:
                    raise RequestIdReused("This request id came before, with another request.")
                return before
            if command.resource and (await tx.resource(command.resource)).provider != command.provider:
                raise ResourceNotOwned("The resource is another provider's.")
            window, fact = announce(
                window,
                announced=await tx.windows_to_come(command.provider, now=now),
                notice=timedelta(0) if caller.kind is CallerKind.OPERATOR else self._notice,
                now=now,
            )
            await tx.save_maintenance(window, now=now)
            await tx.record(fact)
        await self._refresh()
        return window

    async def cancel(self, maintenance_id: str, request_id: str, caller: Caller) -> Maintenance:
        """Call maintenance off. Raises MaintenanceNotFound, ResourceNotOwned, RequestIdReused."""
        caller.must(RIGHT)
        async with self._store.transaction() as tx:
            before = await tx.maintenance(maintenance_id)
            _must_speak_for(caller, before.provider)
            if not await tx.first_sight(request_id, "cancel", maintenance_id) or before.cancelled:
                return before
            after, fact = cancel(before)
            await tx.save_maintenance(after, now=self._clock())
            await tx.record(fact)
        await self._refresh()
        return after

    async def _refresh(self) -> None:
        with suppress(Unavailable):  # It is stored; the event and the next refresh bring it here as well.
            await self._terms.refresh(self._store)


def _must_speak_for(caller: Caller, provider: str) -> None:
    if caller.kind is not CallerKind.OPERATOR and (caller.agency or caller.id) != provider:
        raise ResourceNotOwned("An agency speaks for itself.")
