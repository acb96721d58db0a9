# SPDX-License-Identifier: Apache-2.0
"""Changes of the catalogue: providers propose, the sharing authority publishes, holders are told before they lose something."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final, Protocol

from services.exchange.domain.change import (
    Change,
    ChangeState,
    Loss,
    Notice,
    NoticeState,
    carried,
    check_complete,
    check_notice,
    move,
    moved,
)
from services.exchange.domain.refusals import ChangeNotFound, ChangeNotOpen, ResourceNotOwned, ReviewerNotIndependent
from services.exchange.domain.resource import Resource, ResourceChanged, check_resource
from services.exchange.domain.version import By, Difference, differences
from services.exchange.service.entries import must_own
from services.exchange.service.notices import Look, NoticeRows, Pages, look, losses, notify, told_of
from services.exchange.service.rulebook import Rulebook
from services.kit.calendar import CHINA, Bell, Deadlines, Limit, Limits, Rung
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import PageTokenInvalid, RequestInvalid, Violation
from services.kit.ids import derived_id
from services.kit.paging import Page, encode_token, number_after

PROPOSE, REVIEW, READ = "exchange.catalogue", "exchange.review", "exchange.read"
EFFECT: Final = "change.effect"
NOTICE: Final = "change.notice"
PAGE_SIZE = 50
PREVIEW_GRANTS_MAX: Final = 20_000
PREVIEW_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class ProposeChange:
    """Propose a version of a resource; how it is reached is not the provider's to say."""

    request_id: str
    resource: Resource
    note: str


@dataclass(frozen=True, slots=True)
class ReviewChange:
    """Publish or return a change. `notice_days` 0: what the policy asks for."""

    request_id: str
    change_id: str
    publish: bool
    note: str
    notice_days: int
    urgent_basis: str


@dataclass(frozen=True, slots=True)
class Preview:
    """Who would lose what. `calls`: of the losing grants in the last PREVIEW_DAYS days. `more`: there are more grants."""

    differences: tuple[Difference, ...]
    losses: Page[Loss]
    grants: int
    losing: int
    agencies: int
    calls: int
    notice_days: int
    more: bool


class ChangeTransaction(NoticeRows, Protocol):
    """What a change reads and writes."""

    async def first_sight(self, id: str, *asked: str) -> bool:
        """Tell whether this request has had no effect yet. Raises RequestIdReused where it asked for something else."""

    async def find_resource(self, code: str) -> Resource | None:
        """Read a resource and lock it, None where there is none."""

    async def save_resource(self, resource: Resource, *, now: datetime, by: By) -> None:
        """Write a resource, new or changed."""

    async def add_change(self, change: Change) -> None:
        """Write a new change. Raises ChangeOpenAlready."""

    async def change(self, change_id: str) -> Change:
        """Read a change and lock it. Raises ChangeNotFound."""

    async def save_change(self, change: Change) -> None:
        """Write where a change is now."""

    async def cancel_notices(self, change_id: str) -> None:
        """Say in every inbox that the change won't come."""

    async def acknowledge_notice(self, agency: str, change_id: str, *, now: datetime) -> Notice:
        """Write that an agency has taken note. Raises NoticeNotFound."""

    async def calls_of(self, grant_ids: Sequence[str], *, since: date) -> int:
        """Count the calls of grants from a day on."""


class ChangeStore(Protocol):
    """Changes and notices."""

    def transaction(self) -> AbstractAsyncContextManager[ChangeTransaction]:
        """Open a transaction."""

    async def read_change(self, change_id: str) -> Change:
        """Read one. Raises ChangeNotFound."""

    async def list_changes(
        self, *, provider: str, state: ChangeState | None, page_size: int, page_token: str
    ) -> Page[Change]:
        """Give changes, newest first; empty does not narrow."""

    async def list_notices(self, agency: str, *, open_only: bool, page_size: int, page_token: str) -> Page[Notice]:
        """Give an agency's notices, newest first."""


class ChangeService:
    """Takes changes from proposal to effect."""

    def __init__(
        self, store: ChangeStore, rulebook: Rulebook, deadlines: Deadlines, limits: Limits, *, clock: Clock, region: str
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._deadlines = deadlines
        self._limits = limits
        self._clock = clock
        self._region = region
        deadlines.react(EFFECT, self.on_effect_bell)

    async def propose(self, command: ProposeChange, caller: Caller) -> Change:
        """Propose. Raises ResourceNotOwned, RequestInvalid, ChangeOpenAlready, RequestIdReused, RegionNotServed."""
        caller.must(PROPOSE)
        proposed = replace(command.resource, region=command.resource.region or self._region)
        if proposed.provider != _agency(caller):
            raise ResourceNotOwned("The resource is another agency's.")
        change_id = derived_id("change", caller.id, command.request_id)
        async with self._store.transaction() as tx:
            current = await tx.find_resource(proposed.code)
            if not await tx.first_sight(command.request_id, repr(proposed), command.note):
                return await tx.change(change_id)
            if current is not None:
                must_own(current, caller)
            after = carried(proposed, current)
            check_resource(after, region=self._region)
            check_complete(after)
            if not differences(current, after):
                raise RequestInvalid("Nothing changes.", violations=[Violation("resource", "Something that differs.")])
            base = current.revision if current is not None else 0
            change = Change(change_id, after, base, command.note, caller.label, self._clock())
            await tx.add_change(change)
            await tx.record(moved(change))
        return change

    async def review(self, command: ReviewChange, caller: Caller) -> Change:
        """Publish or return. Raises ChangeNotFound, ChangeNotOpen, NoticeTooShort, ReviewerNotIndependent, RequestInvalid, RequestIdReused."""
        caller.must(REVIEW)
        looked = await self._looked(command.change_id) if command.publish else None
        async with self._store.transaction() as tx:
            before = await tx.change(command.change_id)
            if before.resource.provider == _agency(caller):
                raise ReviewerNotIndependent("A change is reviewed by somebody else than its provider.")
            if not await tx.first_sight(command.request_id, repr(command)):
                return before
            if command.publish:
                after = await self._publish(tx, before, command, looked)
            else:
                after = await self._return(tx, before, command)
        self._rulebook.forget_resource(after.code)
        return after

    async def withdraw(self, request_id: str, change_id: str, caller: Caller) -> Change:
        """Take a change back before it is in effect. Raises ChangeNotFound, ChangeNotOpen, RequestIdReused."""
        caller.must(PROPOSE)
        async with self._store.transaction() as tx:
            before = await tx.change(change_id)
            if caller.kind is not CallerKind.OPERATOR and before.resource.provider != _agency(caller):
                raise ChangeNotFound("There is no such change.")
            if not await tx.first_sight(request_id, "withdraw", change_id):
                return before
            after, fact = move(before, ChangeState.WITHDRAWN)
            if before.state is ChangeState.SCHEDULED:
                await self._deadlines.withdraw(tx, EFFECT, change_id, self._clock())
                await tx.cancel_notices(change_id)
            await tx.save_change(after)
            await tx.record(fact)
        return after

    async def on_effect_bell(self, tx: ChangeTransaction, rung: Rung) -> None:
        """The notice is over: the change comes into effect, unless the resource changed otherwise meanwhile."""
        change = await tx.change(rung.owner)
        if rung.bell is Bell.EXPIRY and change.state is ChangeState.SCHEDULED:
            await self._take_effect(tx, change, await tx.find_resource(change.code))

    async def get(self, change_id: str, caller: Caller) -> Change:
        """Read one: a provider its own, the sharing authority and operators all. Raises ChangeNotFound."""
        caller.must(READ)
        change = await self._store.read_change(change_id)
        if not _sees_all(caller) and change.resource.provider != _agency(caller):
            raise ChangeNotFound("There is no such change.")
        return change

    async def list(self, *, state: ChangeState | None, page_size: int, page_token: str, caller: Caller) -> Page[Change]:
        """Give changes, newest first: a provider its own, the sharing authority and operators all."""
        caller.must(READ)
        provider = "" if _sees_all(caller) else _agency(caller)
        return await self._store.list_changes(
            provider=provider, state=state, page_size=page_size or PAGE_SIZE, page_token=page_token
        )

    async def preview(self, resource: Resource, *, page_size: int, page_token: str, caller: Caller) -> Preview:
        """Tell who would lose what if this version took effect now; nothing changes. Raises ResourceNotOwned."""
        caller.must(READ)
        start, now = _position(page_token), self._clock()
        async with self._store.transaction() as tx:
            current = await tx.find_resource(resource.code)
            if not _sees_all(caller):
                caller.must(PROPOSE)
                must_own(current or resource, caller)
        after = carried(resource, current)
        told, more = (
            ([], False)
            if current is None
            else await losses(Pages(self._store), current, after, now=now, grants_max=PREVIEW_GRANTS_MAX)
        )
        losing = [each for each in told if each]
        since = now.astimezone(CHINA).date() - timedelta(days=PREVIEW_DAYS - 1)
        calls = 0
        for first in range(0, len(losing), PAGE_SIZE):
            some = [each.grant_id for each in losing[first : first + PAGE_SIZE]]
            async with self._store.transaction() as tx:
                calls += await tx.calls_of(some, since=since)
        size = page_size or PAGE_SIZE
        token = encode_token(position=start + size) if start + size < len(losing) else ""
        return Preview(
            differences=differences(current, after),
            losses=Page(tuple(losing[start : start + size]), token),
            grants=len(told),
            losing=len(losing),
            agencies=len({each.grantee for each in losing}),
            calls=calls,
            notice_days=self._notice_days() if losing else 0,
            more=more,
        )

    async def inbox(self, *, open_only: bool, page_size: int, page_token: str, caller: Caller) -> Page[Notice]:
        """Give an agency's notices, newest first."""
        caller.must(READ)
        return await self._store.list_notices(
            _agency(caller), open_only=open_only, page_size=page_size or PAGE_SIZE, page_token=page_token
        )

    async def acknowledge(self, request_id: str, change_id: str, caller: Caller) -> Notice:
        """Take note. Raises NoticeNotFound."""
        caller.must(READ)
        async with self._store.transaction() as tx:
            await tx.first_sight(request_id)  # A repeat finds it acknowledged.
            return await tx.acknowledge_notice(_agency(caller), change_id, now=self._clock())

    async def _return(self, tx: ChangeTransaction, before: Change, command: ReviewChange) -> Change:
        after, fact = move(before, ChangeState.RETURNED, review_note=command.note)
        await tx.save_change(after)
        await tx.record(fact)
        return after

    async def _looked(self, change_id: str) -> Look | None:
        """Look at what holders would lose, before anything is locked for it."""
        change = await self._store.read_change(change_id)
        if change.state is not ChangeState.PROPOSED:
            return None
        async with self._store.transaction() as tx:
            current = await tx.find_resource(change.code)
        return await look(self._store, current, carried(change.resource, current), now=self._clock())

    async def _publish(
        self, tx: ChangeTransaction, before: Change, command: ReviewChange, looked: Look | None
    ) -> Change:
        before = replace(before, review_note=command.note, urgent_basis=command.urgent_basis)
        current, now = await tx.find_resource(before.code), self._clock()
        if before.state is not ChangeState.PROPOSED:
            raise ChangeNotOpen(f"The change is {before.state.value}.")
        if current is None or current.revision != before.base_revision:
            return await self._take_effect(tx, before, current)
        told = await told_of(tx, looked, current, carried(before.resource, current), now=now)
        days = check_notice(
            notice_days=command.notice_days,
            days_min=self._notice_days(),
            loses=any(told),
            urgent_basis=command.urgent_basis,
        )
        if not days:
            return await self._take_effect(tx, before, current, looked)
        terms = self._limits.terms(NOTICE, self._region).model_copy(update={"limit": Limit(amount=days)})
        effect_time = (await self._deadlines.start(tx, EFFECT, before.change_id, terms, now)).due
        assert effect_time is not None, "a deadline that has just been started is due some time"
        after, fact = move(before, ChangeState.SCHEDULED, effect_time=effect_time)
        await tx.save_change(after)
        await tx.record(fact)
        await notify(
            tx,
            told,
            change_id=after.change_id,
            after=after.resource,
            state=NoticeState.ANNOUNCED,
            times=(now, effect_time),
            urgent_basis=after.urgent_basis,
        )
        return after

    async def _take_effect(
        self, tx: ChangeTransaction, before: Change, current: Resource | None, looked: Look | None = None
    ) -> Change:
        now = self._clock()
        if (current.revision if current is not None else 0) != before.base_revision:
            after, fact = move(before, ChangeState.OVERTAKEN)
            await tx.cancel_notices(before.change_id)
        else:
            after, fact = move(before, ChangeState.IN_EFFECT, effect_time=now)
            stored = carried(before.resource, current)
            check_resource(stored, region=self._region)
            await tx.save_resource(stored, now=now, by=By(before.proposer, before.change_id))
            await tx.record(ResourceChanged(stored.code))
            if current is not None:
                told = await told_of(tx, looked, current, stored, now=now)
                await notify(
                    tx,
                    told,
                    change_id=before.change_id,
                    after=stored,
                    state=NoticeState.IN_EFFECT,
                    times=(now, now),
                    urgent_basis=before.urgent_basis,
                )
        await tx.save_change(after)
        await tx.record(fact)
        return after

    def _notice_days(self) -> int:
        return self._limits.terms(NOTICE, self._region).limit.amount


def _agency(caller: Caller) -> str:
    return caller.agency or caller.id


def _sees_all(caller: Caller) -> bool:
    return caller.kind is CallerKind.OPERATOR or caller.may(REVIEW)


def _position(page_token: str) -> int:
    position = number_after(page_token, "position") or 0
    if position < 0:
        raise PageTokenInvalid("The page token is not one of ours.")
    return position
