# SPDX-License-Identifier: Apache-2.0
"""Shows notices in the account, and sends them by the channels that residents chose."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from services.gateway.domain.contacts import Channel, Contact, ContactNotFound
from services.gateway.domain.notices import (
    Message,
    Outcome,
    Post,
    PostState,
    attempted,
    notice_words,
)
from services.gateway.service.drafts import citizen
from services.gateway.service.engine import Engine
from services.gateway.service.ports import CaseRow
from services.kit.caller import current_caller
from services.kit.errors import Unavailable
from services.kit.logs import get_logger
from services.kit.paging import Page
from services.kit.text import Text

RIGHT = "gateway.notices"
AT_ONCE = 8
SANDBOX_MESSAGES_MAX = 500


@dataclass(frozen=True, slots=True)
class KeptNotice:
    """A notice as it is kept."""

    notice_id: str
    case_id: str
    receipt: str
    definition: str
    text: Text
    created: datetime
    read: datetime | None
    posts: tuple[Post, ...]


@dataclass(frozen=True, slots=True)
class NoticeView:
    """The same with the matter's title."""

    notice_id: str
    case_id: str
    receipt: str
    matter: Text
    text: Text
    created: datetime
    read: datetime | None
    posts: tuple[Post, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a sandbox sent to nobody."""

    channel: Channel
    created: datetime
    address: str = field(repr=False)
    subject: str
    body: str = field(repr=False)


class Sender(Protocol):
    """A channel. Never raises: it says how the attempt ended, and in one word what it met."""

    async def send(self, message: Message) -> tuple[Outcome, str]:
        """Make one attempt, of less than a minute and a half."""


class NoticeTransaction(Protocol):
    """What a transaction reads and writes of notices."""

    async def mark_read(self, subject_id: str, notice_id: str, now: datetime) -> None:
        """The first time counts. Raises NoticeNotFound."""

    async def mark_all_read(self, subject_id: str, until: datetime, now: datetime) -> int:
        """All up to a moment; give how many were unread."""

    async def take_posts(self, now: datetime, limit: int) -> Sequence[Post]:
        """Due ones, each in our hands for one attempt."""

    async def give_up_posts(self, now: datetime) -> int:
        """Those whose sender is gone; give how many."""

    async def save_post(self, post: Post) -> None:
        """Write what came of an attempt."""

    async def contact(self, subject_id: str, channel: Channel) -> Contact:
        """Read and lock. Raises ContactNotFound."""

    async def add_sandbox_message(self, channel: Channel, message: Message, now: datetime, keep: int) -> None:
        """Keep it, once, and the newest `keep` in all."""


class NoticeStore(Protocol):
    """What is kept."""

    def transaction(self) -> AbstractAsyncContextManager[NoticeTransaction]:
        """All or nothing."""

    async def find(self, receipt_or_case_id: str) -> CaseRow | None:
        """One case."""

    async def notice_of(self, subject_id: str, notice_id: str) -> KeptNotice:
        """One of a resident's. Raises NoticeNotFound."""

    async def notices_of(self, subject_id: str, *, unread: bool, page_size: int, page_token: str) -> Page[KeptNotice]:
        """A resident's, newest first."""

    async def count_unread(self, subject_id: str) -> int:
        """How many notices a resident has not read."""

    async def posts_are_due(self, now: datetime) -> bool:
        """Whether there is something to send, or to give up."""

    async def list_posts(self, *, state: PostState | None, page_size: int, page_token: str) -> Page[Post]:
        """Everybody's, newest first."""

    async def sandbox_messages(self, limit: int) -> Sequence[Shown]:
        """The newest first."""


class NoticeDesk:
    """Residents come here for their own; operators for what could not be sent."""

    def __init__(self, store: NoticeStore, engine: Engine) -> None:
        self._store = store
        self._engine = engine

    async def list(self, *, unread: bool, page_size: int, page_token: str) -> tuple[Page[NoticeView], int]:
        """The caller's, newest first, and how many of all are unread."""
        me = citizen().id
        page = await self._store.notices_of(me, unread=unread, page_size=page_size, page_token=page_token)
        rows = [await self._view(each) for each in page.rows]
        return Page(tuple(rows), page.next_token), await self._store.count_unread(me)

    async def read(self, notice_id: str) -> NoticeView:
        """The caller has read it. Raises NoticeNotFound."""
        me = citizen().id
        async with self._store.transaction() as tx:
            await tx.mark_read(me, notice_id, self._engine.clock())
        return await self._view(await self._store.notice_of(me, notice_id))

    async def read_all(self, until: datetime) -> int:
        """The caller has read all up to a moment; give how many were unread."""
        me = citizen().id
        async with self._store.transaction() as tx:
            return await tx.mark_all_read(me, until, self._engine.clock())

    async def posts(self, *, state: PostState | None, page_size: int, page_token: str) -> Page[Post]:
        """What was sent, waits and failed; for operators with the right `gateway.notices`."""
        current_caller().must(RIGHT)
        return await self._store.list_posts(state=state, page_size=page_size, page_token=page_token)

    async def outbox(self, limit: int) -> Sequence[Shown]:
        """What a sandbox sent to nobody; for operators with the right `gateway.notices`."""
        current_caller().must(RIGHT)
        return await self._store.sandbox_messages(limit)

    async def _view(self, kept: KeptNotice) -> NoticeView:
        title = (await self._engine.plan_of(kept.definition)).matter.title
        at = (kept.created, kept.read, kept.posts)
        return NoticeView(kept.notice_id, kept.case_id, kept.receipt, title, kept.text, *at)


class SandboxSender:
    """Sends to nobody: what it takes is shown on the console's page of sent messages, which says so."""

    def __init__(self, store: NoticeStore, channel: Channel, engine: Engine) -> None:
        self._store = store
        self._channel = channel
        self._engine = engine

    async def send(self, message: Message) -> tuple[Outcome, str]:
        """Keep it for the console."""
        try:
            async with self._store.transaction() as tx:
                await tx.add_sandbox_message(self._channel, message, self._engine.clock(), SANDBOX_MESSAGES_MAX)
        except Unavailable:
            return Outcome.LATER, "STORE"
        return Outcome.SENT, ""


class PostDesk:
    """Sends what is due; every process does, and takes what no other has in hand."""

    def __init__(
        self,
        store: NoticeStore,
        engine: Engine,
        senders: Mapping[Channel, Sender],
        *,
        public_url: str,
        poll_seconds: float,
    ) -> None:
        self._store = store
        self._engine = engine
        self._senders = senders
        self._public_url = public_url
        self._poll_seconds = poll_seconds

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            sent = 0
            with suppress(Unavailable):  # The next round catches up.
                sent = await self.send_due()
            if not sent:
                await asyncio.sleep(self._poll_seconds)

    async def send_due(self) -> int:
        """Make one attempt for each of some due posts; give how many."""
        now = self._engine.clock()
        if not await self._store.posts_are_due(now):
            return 0
        async with self._store.transaction() as tx:
            given_up = await tx.give_up_posts(now)
            taken = await tx.take_posts(now, AT_ONCE)
        if given_up:
            get_logger().error("notices_unsure", posts=given_up)
        await asyncio.gather(*(self._send(post) for post in taken))
        return len(taken)

    async def _send(self, post: Post) -> None:
        outcome, problem = await self._attempt(post)
        after = attempted(post, outcome, problem, self._engine.clock())
        async with self._store.transaction() as tx:
            await tx.save_post(after)
        if after.state in {PostState.FAILED, PostState.UNSURE}:
            get_logger().error(
                "notice_not_sent", post_id=post.post_id, channel=post.channel.value, state=after.state, problem=problem
            )

    async def _attempt(self, post: Post) -> tuple[Outcome, str]:
        sender = self._senders.get(post.channel)
        if sender is None:
            return Outcome.REFUSED, "CHANNEL_NOT_OFFERED"
        case = await self._store.find(post.case_id)
        try:
            async with self._store.transaction() as tx:
                contact = await tx.contact(post.subject_id, post.channel)
        except ContactNotFound:
            contact = None
        if contact is None or contact.verified is None or case is None:
            return Outcome.REFUSED, "CONTACT_GONE"
        title = (await self._engine.plan_of(case.definition)).matter.title
        read_on = f"{self._public_url}/cases/{case.case_id}"
        subject, body = notice_words(post.channel, contact.language, title, case.receipt, read_on)
        return await sender.send(Message(post.post_id, contact.address, subject, body))
