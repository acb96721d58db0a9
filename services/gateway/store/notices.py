# SPDX-License-Identifier: Apache-2.0
"""Rows of notices, of their sending, and of what a sandbox sends to nobody."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    Row,
    Select,
    String,
    Table,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)

from services.gateway.domain.contacts import Channel
from services.gateway.domain.effects import Notice
from services.gateway.domain.notices import LEASE, Message, NoticeNotFound, Post, PostState
from services.gateway.service.notices import KeptNotice, Shown
from services.gateway.store.contacts import contact
from services.gateway.store.rows import seal, unseal
from services.gateway.store.tables import cases, metadata, notices
from services.kit.ids import derived_id
from services.kit.paging import Page, encode_token, moment_after
from services.kit.store import Store, Tx, UtcDateTime
from services.kit.text import Text

notice_post = Table(
    "notice_post",
    metadata,
    Column("post_id", String(36), primary_key=True),
    Column("notice_id", String(36), nullable=False),
    Column("subject_id", String(36), nullable=False),
    Column("case_id", String(36), nullable=False),
    Column("channel", String(10), nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("due", UtcDateTime, nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("problem", String(64), nullable=False),
    Column("settled", UtcDateTime, nullable=True),
    Index("notice_post_by_due", "state", "due"),
    Index("notice_post_by_time", "created", "post_id"),
    Index("notice_post_by_notice", "notice_id"),
)

sandbox_message = Table(
    "sandbox_message",
    metadata,
    Column("message_id", String(36), primary_key=True),
    Column("channel", String(10), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Index("sandbox_message_by_time", "created", "message_id"),
)

_KEPT = select(notices, cases.c.receipt, cases.c.definition).join(cases, cases.c.case_id == notices.c.case_id)
_SENDING = notice_post.c.state == PostState.SENDING.value


class NoticeRows(Tx):
    """What a transaction reads and writes of notices."""

    async def add_notices(self, new: Sequence[Notice], now: datetime) -> None:
        """Each once; with what is to be sent of it, by the channels whose addresses are verified now."""
        for notice in new:
            notice_id = derived_id("notice", notice.case_id, notice.step_id)
            row = {
                "case_id": notice.case_id,
                "step_id": notice.step_id,
                "applicant_id": notice.applicant_id,
                "text_zh": notice.text.zh,
                "text_en": notice.text.en,
                "created": now,
                "notice_id": notice_id,
            }
            added = await self.connection.execute(self.insert(notices).values(row).on_conflict_do_nothing())
            if added.rowcount == 1:
                await self._add_posts(notice, notice_id, now)

    async def _add_posts(self, notice: Notice, notice_id: str, now: datetime) -> None:
        asked = select(contact.c.channel).where(
            contact.c.subject_id == notice.applicant_id, contact.c.verified.is_not(None)
        )
        for channel in (await self.connection.execute(asked)).scalars().all():
            post_id = derived_id("post", notice_id, channel)
            post = Post(post_id, notice_id, notice.applicant_id, notice.case_id, Channel(channel), now, now)
            await self.connection.execute(self.insert(notice_post).values(_post_row(post)).on_conflict_do_nothing())

    async def mark_read(self, subject_id: str, notice_id: str, now: datetime) -> None:
        """The first time counts. Raises NoticeNotFound."""
        own = (notices.c.notice_id == notice_id, notices.c.applicant_id == subject_id)
        read = await self.connection.execute(
            update(notices).where(*own).values(read=func.coalesce(notices.c.read, now, type_=UtcDateTime))
        )
        if not read.rowcount:
            raise NoticeNotFound("You have no such notice.")

    async def mark_all_read(self, subject_id: str, until: datetime, now: datetime) -> int:
        """All up to a moment; give how many were unread."""
        unread = (notices.c.applicant_id == subject_id, notices.c.created <= until, notices.c.read.is_(None))
        return (await self.connection.execute(update(notices).where(*unread).values(read=now))).rowcount

    async def take_posts(self, now: datetime, limit: int) -> Sequence[Post]:
        """Due ones, each in our hands for one attempt; those in other hands are passed over."""
        asked = (
            select(notice_post)
            .where(notice_post.c.state == PostState.WAITING.value, notice_post.c.due <= now)
            .order_by(notice_post.c.due)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows = (await self.connection.execute(asked)).mappings().all()
        if rows:
            taken = {
                "state": PostState.SENDING.value,
                "due": now + LEASE,
                "attempts": notice_post.c.attempts + 1,
            }
            ids = [row["post_id"] for row in rows]
            await self.connection.execute(update(notice_post).where(notice_post.c.post_id.in_(ids)).values(taken))
        return [_post(row, state=PostState.SENDING, attempts=row["attempts"] + 1) for row in rows]

    async def give_up_posts(self, now: datetime) -> int:
        """Those whose sender is gone may have been sent: not again. Give how many."""
        gone = {"state": PostState.UNSURE.value, "problem": "SENDER_GONE", "settled": now}
        changed = update(notice_post).where(_SENDING, notice_post.c.due <= now).values(gone)
        return (await self.connection.execute(changed)).rowcount

    async def save_post(self, post: Post) -> None:
        """Write what came of an attempt; the sender knows better than who gave it up."""
        open_ = notice_post.c.state.in_((PostState.SENDING.value, PostState.UNSURE.value))
        own = (notice_post.c.post_id == post.post_id, notice_post.c.attempts == post.attempts)
        row = _post_row(post)
        changes = {name: row[name] for name in ("state", "due", "problem", "settled")}
        await self.connection.execute(update(notice_post).where(*own, open_).values(changes))

    async def add_sandbox_message(self, channel: Channel, message: Message, now: datetime, keep: int) -> None:
        """Keep it, once, and the newest `keep` in all."""
        words = {"address": message.address, "subject": message.subject, "body": message.body}
        row = {
            "message_id": message.message_id,
            "channel": channel.value,
            "sealed": seal(self.store.keyring, f"sandbox:{message.message_id}", words),
            "created": now,
        }
        await self.connection.execute(self.insert(sandbox_message).values(row).on_conflict_do_nothing())
        newest = select(sandbox_message.c.message_id).order_by(sandbox_message.c.created.desc()).limit(keep)
        await self.connection.execute(delete(sandbox_message).where(sandbox_message.c.message_id.not_in(newest)))


class NoticeReads(Store[Any]):
    """What is read of notices outside a transaction."""

    async def notice_of(self, subject_id: str, notice_id: str) -> KeptNotice:
        """One of a resident's. Raises NoticeNotFound."""
        asked = _KEPT.where(notices.c.notice_id == notice_id, notices.c.applicant_id == subject_id)
        found = (await self._kept(asked)).rows
        if not found:
            raise NoticeNotFound("You have no such notice.")
        return found[0]

    async def notices_of(self, subject_id: str, *, unread: bool, page_size: int, page_token: str) -> Page[KeptNotice]:
        """A resident's, newest first."""
        made, key = notices.c.created, notices.c.notice_id
        asked = _KEPT.where(notices.c.applicant_id == subject_id)
        if unread:
            asked = asked.where(notices.c.read.is_(None))
        if page_token:
            moment, last = moment_after(page_token, time="created")
            asked = asked.where(or_(made < moment, and_(made == moment, key < last)))
        return await self._kept(asked.order_by(made.desc(), key.desc()).limit(page_size + 1), page_size)

    async def _kept(self, asked: Select[Any], page_size: int = 1) -> Page[KeptNotice]:
        async with self.reading() as connection:
            found = (await connection.execute(asked)).all()
            rows = found[:page_size]
            ids = [row.notice_id for row in rows]
            posts = (await connection.execute(select(notice_post).where(notice_post.c.notice_id.in_(ids)))).mappings()
            sent = [_post(row) for row in posts]
        kept = tuple(_notice(row, [each for each in sent if each.notice_id == row.notice_id]) for row in rows)
        return Page(kept, _token(rows[-1].created, rows[-1].notice_id) if len(found) > len(rows) else "")

    async def count_unread(self, subject_id: str) -> int:
        """How many notices a resident has not read."""
        asked = select(func.count()).where(notices.c.applicant_id == subject_id, notices.c.read.is_(None))
        async with self.reading() as connection:
            return int((await connection.execute(asked)).scalar_one())

    async def posts_are_due(self, now: datetime) -> bool:
        """Whether there is something to send, or to give up."""
        moving = notice_post.c.state.in_((PostState.WAITING.value, PostState.SENDING.value))
        asked = select(notice_post.c.post_id).where(moving, notice_post.c.due <= now).limit(1)
        async with self.reading() as connection:
            return (await connection.execute(asked)).first() is not None

    async def list_posts(self, *, state: PostState | None, page_size: int, page_token: str) -> Page[Post]:
        """Everybody's, newest first."""
        made, key = notice_post.c.created, notice_post.c.post_id
        asked = select(notice_post)
        if state is not None:
            asked = asked.where(notice_post.c.state == state.value)
        if page_token:
            moment, last = moment_after(page_token, time="created")
            asked = asked.where(or_(made < moment, and_(made == moment, key < last)))
        async with self.reading() as connection:
            found = await connection.execute(asked.order_by(made.desc(), key.desc()).limit(page_size + 1))
            rows = [_post(row) for row in found.mappings()]
        if len(rows) <= page_size:
            return Page(tuple(rows))
        return Page(tuple(rows[:page_size]), _token(rows[page_size - 1].created, rows[page_size - 1].post_id))

    async def sandbox_messages(self, limit: int) -> Sequence[Shown]:
        """The newest first."""
        asked = select(sandbox_message).order_by(sandbox_message.c.created.desc(), sandbox_message.c.message_id.desc())
        async with self.reading() as connection:
            rows = (await connection.execute(asked.limit(limit))).all()
        return [
            Shown(Channel(row.channel), row.created, **unseal(self.keyring, f"sandbox:{row.message_id}", row.sealed))
            for row in rows
        ]


def _token(created: datetime, key: str) -> str:
    return encode_token(created=created.isoformat(), id=key)


def _notice(row: Row[Any], posts: Sequence[Post]) -> KeptNotice:
    words = Text(row.text_zh, row.text_en)
    return KeptNotice(
        row.notice_id, row.case_id, row.receipt, row.definition, words, row.created, row.read, tuple(posts)
    )


def _post_row(post: Post) -> dict[str, Any]:
    row = {column.name: getattr(post, column.name) for column in notice_post.c}
    return {**row, "channel": post.channel.value, "state": post.state.value}


def _post(row: Mapping[Any, Any], **changes: Any) -> Post:
    values = {column.name: row[column.name] for column in notice_post.c}
    return Post(**{**values, "channel": Channel(row["channel"]), "state": PostState(row["state"]), **changes})
