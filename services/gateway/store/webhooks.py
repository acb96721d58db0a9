# SPDX-License-Identifier: Apache-2.0
"""Rows of webhooks and of what they are told."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Integer, String, Table, Text, and_, delete, func, or_, select, update

from services.gateway.domain.webhooks import (
    LEASE,
    Delivery,
    DeliveryState,
    News,
    Webhook,
    WebhookNotFound,
)
from services.gateway.store.rows import seal, unseal
from services.gateway.store.tables import metadata
from services.kit.crypto import Keyring
from services.kit.paging import Page, encode_token, moment_after
from services.kit.store import Json, Store, Tx, UtcDateTime

webhook = Table(
    "webhook",
    metadata,
    Column("webhook_id", String(36), primary_key=True),
    Column("url", String(500), nullable=False),
    Column("news", Json, nullable=False),
    Column("matters", Json, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("secrets", Text, nullable=False),
    Column("old_until", UtcDateTime, nullable=True),
    Column("paused", UtcDateTime, nullable=True),
    Column("pause_reason", String(64), nullable=False),
)

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("delivery_id", String(36), primary_key=True),
    Column("webhook_id", String(36), nullable=False),
    Column("news", String(30), nullable=False),
    Column("case_id", String(36), nullable=False),
    Column("body", Text, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("due", UtcDateTime, nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    Column("settled", UtcDateTime, nullable=True),
    Index("webhook_delivery_by_due", "state", "due"),
    Index("webhook_delivery_by_hook", "webhook_id", "created", "delivery_id"),
)
_WAITING = webhook_delivery.c.state == DeliveryState.WAITING.value


class WebhookRows(Tx):
    """What a transaction reads and writes of webhooks."""

    async def count_webhooks(self) -> int:
        """Count them all."""
        return int(await self.connection.scalar(select(func.count()).select_from(webhook)) or 0)

    async def webhook(self, webhook_id: str) -> Webhook:
        """Read and lock. Raises WebhookNotFound."""
        query = select(webhook).where(webhook.c.webhook_id == webhook_id).with_for_update()
        row = (await self.connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise WebhookNotFound("There is no such webhook.")
        return _hook(row, self.store.keyring)

    async def save_webhook(self, hook: Webhook) -> None:
        """Insert or replace."""
        row = _row(hook, self.store.keyring)
        insert = self.insert(webhook).values(row)
        changes = {name: insert.excluded[name] for name in row if name != "webhook_id"}
        await self.connection.execute(insert.on_conflict_do_update(index_elements=["webhook_id"], set_=changes))

    async def delete_webhook(self, webhook_id: str) -> None:
        """Delete it with what it was told."""
        for table in (webhook_delivery, webhook):
            await self.connection.execute(delete(table).where(table.c.webhook_id == webhook_id))

    async def all_webhooks(self) -> Sequence[Webhook]:
        """Every one; they are few."""
        rows = (await self.connection.execute(select(webhook))).mappings()
        return [_hook(row, self.store.keyring) for row in rows]

    async def add_deliveries(self, new: Sequence[Delivery]) -> None:
        """Insert."""
        if new:
            await self.connection.execute(webhook_delivery.insert(), [_delivery_row(each) for each in new])

    async def take_deliveries(self, now: datetime, limit: int) -> Sequence[tuple[Delivery, Webhook]]:
        """Due ones of hooks that are not paused, each leased to us for one attempt; those in other hands are passed over."""
        asked = (
            select(webhook_delivery, webhook.c.webhook_id.label("of_hook"))
            .join(webhook, webhook.c.webhook_id == webhook_delivery.c.webhook_id)
            .where(_WAITING, webhook_delivery.c.due <= now, webhook.c.paused.is_(None))
            .order_by(webhook_delivery.c.due)
            .limit(limit)
            .with_for_update(skip_locked=True, of=webhook_delivery)
        )
        rows = (await self.connection.execute(asked)).mappings().all()
        if not rows:
            return []
        hooks = {each.webhook_id: each for each in await self.all_webhooks()}
        taken = [each["delivery_id"] for each in rows]
        await self.connection.execute(
            update(webhook_delivery)
            .where(webhook_delivery.c.delivery_id.in_(taken))
            .values(due=now + LEASE, attempts=webhook_delivery.c.attempts + 1)
        )
        return [(_delivery(row, attempts=row["attempts"] + 1), hooks[row["webhook_id"]]) for row in rows]

    async def save_delivery(self, delivery: Delivery) -> None:
        """Write what came of an attempt; nothing where it was settled or replayed meanwhile."""
        await self.connection.execute(
            update(webhook_delivery)
            .where(
                webhook_delivery.c.delivery_id == delivery.delivery_id,
                webhook_delivery.c.attempts == delivery.attempts,
                _WAITING,
            )
            .values(state=delivery.state.value, status=delivery.status, due=delivery.due, settled=delivery.settled)
        )

    async def replay_deliveries(self, webhook_id: str, *, since: datetime, now: datetime, limit: int) -> int:
        """Tell again what was told or failed since a moment, at most `limit`, oldest first; give how many."""
        old = (
            select(webhook_delivery.c.delivery_id)
            .where(webhook_delivery.c.webhook_id == webhook_id, webhook_delivery.c.created >= since, ~_WAITING)
            .order_by(webhook_delivery.c.created)
            .limit(limit)
        )
        anew = {"state": DeliveryState.WAITING.value, "attempts": 0, "status": 0, "due": now, "settled": None}
        changed = update(webhook_delivery).where(webhook_delivery.c.delivery_id.in_(old)).values(anew)
        return (await self.connection.execute(changed)).rowcount

    async def drop_deliveries(self, before: datetime) -> None:
        """Forget what was settled before a moment."""
        gone = delete(webhook_delivery).where(webhook_delivery.c.created < before, ~_WAITING)
        await self.connection.execute(gone)


class WebhookReads(Store[Any]):
    """What is read of webhooks outside a transaction."""

    async def list_webhooks(self) -> Sequence[Webhook]:
        """Every one, oldest first."""
        async with self.reading() as connection:
            rows = (await connection.execute(select(webhook).order_by(webhook.c.created))).mappings().all()
        return [_hook(row, self.keyring) for row in rows]

    async def list_deliveries(
        self, webhook_id: str, *, state: DeliveryState | None, page_size: int, page_token: str
    ) -> Page[Delivery]:
        """A hook's, newest first."""
        made, key = webhook_delivery.c.created, webhook_delivery.c.delivery_id
        query = select(webhook_delivery).where(webhook_delivery.c.webhook_id == webhook_id)
        if state is not None:
            query = query.where(webhook_delivery.c.state == state.value)
        if page_token:
            moment, last = moment_after(page_token, time="created")
            query = query.where(or_(made < moment, and_(made == moment, key < last)))
        async with self.reading() as connection:
            found = await connection.execute(query.order_by(made.desc(), key.desc()).limit(page_size + 1))
        rows = [_delivery(row) for row in found.mappings()]
        if len(rows) <= page_size:
            return Page(tuple(rows))
        last_row = rows[page_size - 1]
        token = encode_token(created=last_row.created.isoformat(), id=last_row.delivery_id)
        return Page(tuple(rows[:page_size]), token)


def _row(hook: Webhook, keyring: Keyring) -> dict[str, Any]:
    secrets = {"new": hook.secret.hex(), "old": hook.old_secret.hex()}
    return {
        "webhook_id": hook.webhook_id,
        "url": hook.url,
        "news": [each.value for each in hook.news],
        "matters": list(hook.matters),
        "created": hook.created,
        "created_by": hook.created_by,
        "secrets": seal(keyring, f"webhook:{hook.webhook_id}", secrets).hex(),
        "old_until": hook.old_until,
        "paused": hook.paused,
        "pause_reason": hook.pause_reason,
    }


def _hook(row: Mapping[Any, Any], keyring: Keyring) -> Webhook:
    secrets = unseal(keyring, f"webhook:{row['webhook_id']}", bytes.fromhex(row["secrets"]))
    return Webhook(
        webhook_id=row["webhook_id"],
        url=row["url"],
        news=tuple(News(each) for each in row["news"]),
        matters=tuple(row["matters"]),
        created=row["created"],
        created_by=row["created_by"],
        secret=bytes.fromhex(secrets["new"]),
        old_secret=bytes.fromhex(secrets["old"]),
        old_until=row["old_until"],
        paused=row["paused"],
        pause_reason=row["pause_reason"],
    )


def _delivery_row(delivery: Delivery) -> dict[str, Any]:
    row = {column.name: getattr(delivery, column.name) for column in webhook_delivery.c}
    return {**row, "news": delivery.news.value, "state": delivery.state.value}


def _delivery(row: Mapping[Any, Any], **changes: Any) -> Delivery:
    values = {column.name: row[column.name] for column in webhook_delivery.c}
    return Delivery(**{**values, "news": News(row["news"]), "state": DeliveryState(row["state"]), **changes})
