# SPDX-License-Identifier: Apache-2.0
"""Subscriptions are made and ended, subjects watched, changes published; the log of changes is the exchange's own store."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from services.exchange.domain.inquiry import Subject, check_words
from services.exchange.domain.refusals import ResourceNotFound, ResourceNotOwned
from services.exchange.domain.subscriptions import (
    SUBSCRIPTIONS_MAX,
    WATCHED_MAX,
    Change,
    ChangesPublished,
    Log,
    Notice,
    Subscription,
    TooManySubscriptions,
    ended,
    must_go_on,
)
from services.exchange.domain.terms import Method
from services.exchange.service.bell import Bell
from services.exchange.service.rulebook import Rulebook
from services.exchange.service.subjects import Subjects
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import RequestIdReused, RequestInvalid, Violation
from services.kit.ids import derived_id
from services.kit.paging import Page

RIGHT = "exchange.query"
PAGE_SIZE = 50
PURPOSE = "subscription"
"""Why identity is asked whom a change is about: to account for it, not for anybody's use."""
_DROPPED_MAX = 1_000
_ASKED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class CreateSubscription:
    """Hear of changes; the id of the subscription follows from the request id."""

    request_id: str
    resource: str
    purpose: str
    fields: tuple[str, ...]
    with_values: bool


@dataclass(frozen=True, slots=True)
class WatchSubjects:
    """Begin to watch some subjects, and stop to watch others."""

    subscription_id: str
    added: tuple[Subject, ...]
    removed: tuple[Subject, ...]


@dataclass(frozen=True, slots=True)
class PublishChanges:
    """A provider's notice."""

    request_id: str
    resource: str
    notices: tuple[Notice, ...]


class SubscriptionTransaction(Protocol):
    """What one change of a subscription, or of a log, reads and writes."""

    async def first_sight(self, id: str, *asked: str) -> bool:
        """Tell whether this request has had no effect yet. Raises RequestIdReused where it asked for something else."""

    async def find_subscription(self, subscription_id: str) -> Subscription | None:
        """Read a subscription and lock it, None where there is none."""

    async def subscription(self, subscription_id: str, *, agency: str) -> Subscription:
        """Read an agency's own subscription and lock it. Raises SubscriptionNotFound."""

    async def count_subscriptions(self, agency: str) -> int:
        """Count an agency's subscriptions that were not ended."""

    async def save_subscription(self, subscription: Subscription) -> None:
        """Write a subscription, new or changed."""

    async def acknowledge(self, subscription_id: str, *, position: int, stream_id: str) -> bool:
        """Write what is held; False where another stream has the subscription."""

    async def watch(self, subscription_id: str, subject_ids: Sequence[str]) -> int:
        """Add subjects; give how many are new."""

    async def unwatch(self, subscription_id: str, subject_ids: Sequence[str]) -> int:
        """Remove subjects; give how many there were."""

    async def drop_watched(self, subscription_id: str, *, limit: int) -> int:
        """Remove at most so many subjects, because it ended; give how many."""

    async def grow(self, resource: str, changes: int) -> Log:
        """Take so many places at the end of a resource's log, locked until the commit, so that places commit in order."""

    async def add_changes(self, resource: str, changes: Sequence[Change]) -> None:
        """Write changes in their places, their subjects sealed."""

    async def drop_changes(self, *, before: datetime, limit: int) -> int:
        """Delete the oldest changes of each log that were published before; give how many."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""


class SubscriptionStore(Protocol):
    """The rows of subscriptions and of changes."""

    def transaction(self) -> AbstractAsyncContextManager[SubscriptionTransaction]:
        """Open a transaction."""

    async def read_log(self, resource: str) -> Log:
        """Tell which positions are kept."""

    async def read_subscription(self, subscription_id: str, *, agency: str) -> Subscription:
        """Read an agency's own subscription. Raises SubscriptionNotFound."""

    async def changes_for(
        self, subscription_id: str, resource: str, *, after: int, until: int, limit: int
    ) -> Sequence[Change]:
        """Give changes of subjects that the subscription watches, in order."""

    async def list_subscriptions(self, *, agency: str, page_size: int, page_token: str) -> Page[Subscription]:
        """Give subscriptions that were not ended, newest first; an empty agency does not narrow."""


class SubscriptionService:
    """Who hears of what."""

    def __init__(
        self,
        store: SubscriptionStore,
        rulebook: Rulebook,
        subjects: Subjects,
        bell: Bell,
        *,
        clock: Clock,
        days: int,
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._subjects = subjects
        self._bell = bell
        self._clock = clock
        self._kept = timedelta(days=days)

    async def create(self, command: CreateSubscription, caller: Caller) -> Subscription:
        """Subscribe from now on. Raises what refuses a query, RequestIdReused, TooManySubscriptions."""
        caller.must(RIGHT)
        check_words(resource=command.resource, purpose=command.purpose, fields=command.fields)
        agency = caller.agency or caller.id
        permit = await self._rulebook.permit_query(
            agency, command.resource, purpose=command.purpose, fields=command.fields, method=Method.SUBSCRIBE
        )
        draft = Subscription(
            subscription_id=derived_id("subscription", caller.id, command.request_id),
            agency=agency,
            resource=command.resource,
            purpose=command.purpose,
            fields=permit.fields,
            with_values=command.with_values,
            position=0,
            watched=0,
            create_time=self._clock(),
        )
        async with self._store.transaction() as tx:
            if not await tx.first_sight(command.request_id):
                before = await tx.find_subscription(draft.subscription_id)
                if before is None or not before.same_question(replace(draft, fields=command.fields)):
                    raise RequestIdReused("This request id came before, with another request.")
                return before
            if await tx.count_subscriptions(agency) >= SUBSCRIPTIONS_MAX:
                raise TooManySubscriptions(f"The agency has {SUBSCRIPTIONS_MAX} subscriptions.")
            made = replace(draft, position=(await tx.grow(command.resource, 0)).last)
            await tx.save_subscription(made)
        return made

    async def watch(self, command: WatchSubjects, caller: Caller) -> tuple[Subscription, Sequence[str]]:
        """Change whom it watches; give the ids under which changes of those added are told, in their order.

        The same again changes nothing. Raises SubscriptionNotFound, SubscriptionEnded, TooManySubscriptions.
        """
        caller.must(RIGHT)
        added = await self._subject_ids(command.added)
        removed = await self._subject_ids(command.removed)
        async with self._store.transaction() as tx:
            before = await tx.subscription(command.subscription_id, agency=caller.agency or caller.id)
            must_go_on(before)
            less = await tx.unwatch(before.subscription_id, removed)
            more = await tx.watch(before.subscription_id, added)
            after = replace(before, watched=before.watched + more - less)
            if after.watched > WATCHED_MAX:
                raise TooManySubscriptions(f"A subscription watches {WATCHED_MAX} subjects at most.")
            await tx.save_subscription(after)
        return after, added

    async def end(self, subscription_id: str, caller: Caller) -> Subscription:
        """End a subscription; the same again changes nothing. Raises SubscriptionNotFound."""
        caller.must(RIGHT)
        async with self._store.transaction() as tx:
            before = await tx.subscription(subscription_id, agency=caller.agency or caller.id)
            after = replace(ended(before, now=self._clock()), watched=0)
            await tx.save_subscription(after)
        while True:
            async with self._store.transaction() as tx:
                if await tx.drop_watched(subscription_id, limit=_DROPPED_MAX) < _DROPPED_MAX:
                    break
        self._bell.ring(after.resource)
        return after

    async def list(self, *, page_size: int, page_token: str, caller: Caller) -> Page[Subscription]:
        """Give subscriptions, newest first: an agency sees its own, an operator all."""
        caller.must("exchange.read")
        agency = "" if caller.kind is CallerKind.OPERATOR else caller.agency or caller.id
        return await self._store.list_subscriptions(
            agency=agency, page_size=page_size or PAGE_SIZE, page_token=page_token
        )

    async def publish(self, command: PublishChanges, caller: Caller) -> int:
        """Add a provider's notices to the log of its resource; give the last position.

        Raises ResourceNotFound, ResourceNotOwned, RequestInvalid, RequestIdReused, Unavailable.
        """
        caller.must("exchange.provide")
        resource = await self._rulebook.resource(command.resource)
        if resource is None:
            raise ResourceNotFound("There is no such resource in the catalogue.")
        if resource.provider != (caller.agency or caller.id):
            raise ResourceNotOwned("Only its provider tells changes of a resource.")
        if any(not resource.field_names.issuperset(each.fields) for each in command.notices):
            raise RequestInvalid(
                "A change names fields of the resource.", violations=[Violation("changes.fields", "Fields of it.")]
            )
        ids = await self._subject_ids([each.subject for each in command.notices])
        now = self._clock()
        async with self._store.transaction() as tx:
            told = (",".join((id, *each.fields)) for id, each in zip(ids, command.notices, strict=True))
            if not await tx.first_sight(command.request_id, command.resource, *told):
                return (await tx.grow(command.resource, 0)).last
            log = await tx.grow(command.resource, len(command.notices))
            begun = log.last - len(command.notices) + 1
            changes = [
                Change(begun + at, subject_id, each.subject, each.fields, now)
                for at, (subject_id, each) in enumerate(zip(ids, command.notices, strict=True))
            ]
            await tx.add_changes(command.resource, changes)
            await tx.record(ChangesPublished(command.resource, log.last))
        self._bell.ring(command.resource)
        return log.last

    async def drop_expired(self) -> int:
        """Delete changes beyond the replay window; give how many."""
        dropped = 0
        while True:
            async with self._store.transaction() as tx:
                some = await tx.drop_changes(before=self._clock() - self._kept, limit=_DROPPED_MAX)
            dropped += some
            if some < _DROPPED_MAX:
                return dropped

    async def _subject_ids(self, subjects: Sequence[Subject]) -> Sequence[str]:
        """Find who they are, a few at once: identity is asked about numbers one by one."""
        found: Sequence[str] = ()
        for at in range(0, len(subjects), _ASKED_AT_ONCE):
            some = subjects[at : at + _ASKED_AT_ONCE]
            asking = (self._subjects.subject_id(each, purpose=PURPOSE, case_id="") for each in some)
            found = [*found, *await asyncio.gather(*asking)]
        return found
