# SPDX-License-Identifier: Apache-2.0
"""Subscriptions, whom they watch, and the log of changes of each resource: contiguous, bounded, subjects sealed."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)

from services.exchange.domain.inquiry import Subject, SubjectKind
from services.exchange.domain.subscriptions import Change, Log, Subscription, SubscriptionNotFound
from services.exchange.store.tables import metadata
from services.kit.crypto import Keyring
from services.kit.paging import Page, encode_token, moment_after
from services.kit.store import Json, Store, Tx, UtcDateTime

SUBJECT_CHARACTERS = 80
"""A subject id, or the keyed mark of a number or code."""

subscription = Table(
    "subscription",
    metadata,
    Column("subscription_id", String(36), primary_key=True),
    Column("agency", String(18), nullable=False),
    Column("resource", String(64), nullable=False),
    Column("purpose", String(100), nullable=False),
    Column("fields", Json, nullable=False),
    Column("with_values", Boolean, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("watched", BigInteger, nullable=False),
    Column("stream_id", String(36), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("end_time", UtcDateTime, nullable=True),
    Index("subscription_by_agency", "agency", "create_time", "subscription_id"),
    Index("subscription_by_time", "create_time", "subscription_id"),
)

watched_subject = Table(
    "watched_subject",
    metadata,
    Column("subscription_id", String(36), ForeignKey("subscription.subscription_id"), primary_key=True),
    Column("subject_id", String(SUBJECT_CHARACTERS), primary_key=True),
)

change_log = Table(
    "change_log",
    metadata,
    Column("resource", String(64), primary_key=True),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
)

record_change = Table(
    "record_change",
    metadata,
    Column("resource", String(64), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("subject_id", String(SUBJECT_CHARACTERS), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("fields", Json, nullable=False),
    Column("publish_time", UtcDateTime, nullable=False),
    Index("record_change_by_time", "publish_time"),
)


class SubscriptionRows(Tx):
    """What a transaction reads and writes of subscriptions and logs."""

    async def find_subscription(self, subscription_id: str) -> Subscription | None:
        """Read and lock, None where there is none."""
        query = select(subscription).where(subscription.c.subscription_id == subscription_id).with_for_update()
        row = (await self.connection.execute(query)).mappings().one_or_none()
        return None if row is None else _subscription_from(row)

    async def subscription(self, subscription_id: str, *, agency: str) -> Subscription:
        """Read and lock an agency's own. Raises SubscriptionNotFound."""
        return _own(await self.find_subscription(subscription_id), agency)

    async def count_subscriptions(self, agency: str) -> int:
        """Count those that were not ended."""
        own = (subscription.c.agency == agency) & subscription.c.end_time.is_(None)
        return int(await self.connection.scalar(select(func.count()).select_from(subscription).where(own)) or 0)

    async def save_subscription(self, saved: Subscription) -> None:
        """Insert or replace."""
        row = {name: getattr(saved, name) for name in subscription.c.keys()}  # noqa: SIM118 - a collection of columns
        insert = self.insert(subscription).values({**row, "fields": list(saved.fields)})
        changes = {name: insert.excluded[name] for name in row if name != "subscription_id"}
        await self.connection.execute(insert.on_conflict_do_update(index_elements=["subscription_id"], set_=changes))

    async def acknowledge(self, subscription_id: str, *, position: int, stream_id: str) -> bool:
        """Write what is held, never less than before."""
        mine = (
            (subscription.c.subscription_id == subscription_id)
            & (subscription.c.stream_id == stream_id)
            & (subscription.c.position < position)
        )
        result = await self.connection.execute(update(subscription).where(mine).values(position=position))
        return result.rowcount == 1

    async def watch(self, subscription_id: str, subject_ids: Sequence[str]) -> int:
        """Insert those that are new."""
        if not subject_ids:
            return 0
        rows = [{"subscription_id": subscription_id, "subject_id": each} for each in dict.fromkeys(subject_ids)]
        result = await self.connection.execute(self.insert(watched_subject).values(rows).on_conflict_do_nothing())
        return result.rowcount

    async def unwatch(self, subscription_id: str, subject_ids: Sequence[str]) -> int:
        """Delete."""
        theirs = (watched_subject.c.subscription_id == subscription_id) & watched_subject.c.subject_id.in_(subject_ids)
        return (await self.connection.execute(delete(watched_subject).where(theirs))).rowcount if subject_ids else 0

    async def drop_watched(self, subscription_id: str, *, limit: int) -> int:
        """Delete at most so many."""
        some = select(watched_subject.c.subject_id).where(watched_subject.c.subscription_id == subscription_id)
        theirs = (watched_subject.c.subscription_id == subscription_id) & watched_subject.c.subject_id.in_(
            some.limit(limit)
        )
        return (await self.connection.execute(delete(watched_subject).where(theirs))).rowcount

    async def grow(self, resource: str, changes: int) -> Log:
        """Move the end of the log; whoever does so next waits for this commit: places become visible in order."""
        made = self.insert(change_log).values(resource=resource, first=1, last=0).on_conflict_do_nothing()
        await self.connection.execute(made)
        await self.connection.execute(
            update(change_log).where(change_log.c.resource == resource).values(last=change_log.c.last + changes)
        )
        query = select(change_log.c.first, change_log.c.last).where(change_log.c.resource == resource)
        return Log(*(await self.connection.execute(query)).one())

    async def add_changes(self, resource: str, changes: Sequence[Change]) -> None:
        """Insert, subjects sealed."""
        rows = [_change_row(resource, each, self.store.keyring) for each in changes]
        await self.connection.execute(self.insert(record_change), rows)

    async def drop_changes(self, *, before: datetime, limit: int) -> int:
        """Delete at most so many, and move the beginnings of their logs: they are the oldest of each."""
        query = select(record_change.c.resource, record_change.c.position).where(record_change.c.publish_time < before)
        late = (await self.connection.execute(query.order_by(record_change.c.publish_time).limit(limit))).all()
        firsts: dict[str, int] = {}
        for resource, position in late:
            firsts[resource] = max(firsts.get(resource, 1), position + 1)
        for resource, first in firsts.items():
            await self.connection.execute(
                update(change_log)
                .where(change_log.c.resource == resource, change_log.c.first < first)
                .values(first=first)
            )
            await self.connection.execute(
                delete(record_change).where(record_change.c.resource == resource, record_change.c.position < first)
            )
        return len(late)


class SubscriptionReads(Store[Any]):
    """What is read of subscriptions and logs outside a transaction."""

    async def read_log(self, resource: str) -> Log:
        """Tell which positions are kept."""
        query = select(change_log.c.first, change_log.c.last).where(change_log.c.resource == resource)
        async with self.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return Log() if row is None else Log(*row)

    async def read_subscription(self, subscription_id: str, *, agency: str) -> Subscription:
        """Read an agency's own. Raises SubscriptionNotFound."""
        query = select(subscription).where(subscription.c.subscription_id == subscription_id)
        async with self.reading() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return _own(None if row is None else _subscription_from(row), agency)

    async def changes_for(
        self, subscription_id: str, resource: str, *, after: int, until: int, limit: int
    ) -> Sequence[Change]:
        """Give those of watched subjects, in order."""
        change, watched = record_change.c, watched_subject.c
        query = (
            select(record_change)
            .join(
                watched_subject,
                and_(watched.subscription_id == subscription_id, watched.subject_id == change.subject_id),
            )
            .where(change.resource == resource, change.position > after, change.position <= until)
            .order_by(change.position)
            .limit(limit)
        )
        async with self.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        return [_change_from(row, self.keyring) for row in found]

    async def list_subscriptions(self, *, agency: str, page_size: int, page_token: str) -> Page[Subscription]:
        """Give those that were not ended, newest first."""
        time, key = subscription.c.create_time, subscription.c.subscription_id
        query = select(subscription).where(subscription.c.end_time.is_(None))
        if agency:
            query = query.where(subscription.c.agency == agency)
        if page_token:
            moment, last = moment_after(page_token)
            query = query.where(or_(time < moment, and_(time == moment, key < last)))
        async with self.reading() as connection:
            found = await connection.execute(query.order_by(time.desc(), key.desc()).limit(page_size + 1))
        rows = found.mappings().all()
        page = tuple(_subscription_from(row) for row in rows[:page_size])
        if len(rows) <= page_size:
            return Page(page)
        return Page(page, encode_token(time=page[-1].create_time.isoformat(), id=page[-1].subscription_id))


def _own(found: Subscription | None, agency: str) -> Subscription:
    if found is None or found.agency != agency:
        raise SubscriptionNotFound("There is no such subscription of this agency.")
    return found


def _subscription_from(row: Mapping[Any, Any]) -> Subscription:
    return Subscription(**{**row, "fields": tuple(row["fields"])})


def _change_row(resource: str, change: Change, keyring: Keyring) -> dict[str, Any]:
    subject = json.dumps([change.subject.kind.value, change.subject.value]).encode()
    return {
        "resource": resource,
        "position": change.position,
        "subject_id": change.subject_id,
        "sealed": keyring.seal(subject, f"exchange.change:{resource}:{change.position}"),
        "fields": list(change.fields),
        "publish_time": change.publish_time,
    }


def _change_from(row: Mapping[Any, Any], keyring: Keyring) -> Change:
    kind, value = json.loads(keyring.open_sealed(row["sealed"], f"exchange.change:{row['resource']}:{row['position']}"))
    return Change(
        position=row["position"],
        subject_id=row["subject_id"],
        subject=Subject(SubjectKind(kind), value),
        fields=tuple(row["fields"]),
        publish_time=row["publish_time"],
    )
