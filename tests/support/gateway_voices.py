# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG002 - where nothing is kept, nothing is asked for
"""Notices and contacts over a real store, senders that do as they are told, and doors where nothing is kept."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from services.gateway.domain.contacts import Channel, Contact, ContactNotFound, Language
from services.gateway.domain.effects import Effects, Notice
from services.gateway.domain.history import CaseOpened
from services.gateway.domain.notices import Message, NoticeNotFound, Outcome, Post, PostState
from services.gateway.events import to_wire
from services.gateway.service.contacts import ContactDesk, SetContact
from services.gateway.service.notices import KeptNotice, NoticeDesk, PostDesk, Shown
from services.gateway.service.ports import CaseRow
from services.gateway.service.voices import Voices
from services.gateway.store import SqlGatewayStore
from services.kit.caller import acting_as
from services.kit.paging import Page
from services.kit.text import Text
from tests.support.gateway_matters import CASE, MOTHER, NOW, plan_of, step, workflows_of
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_world import RESIDENT, MovingClock, World
from tests.support.probe import resources

URL = "https://one.example.cn"
PLAN = plan_of(step("a"))


@dataclass
class StubSender:
    """Ends every attempt as `outcomes` say, the last one for good."""

    outcomes: list[Outcome] = field(default_factory=lambda: [Outcome.SENT])
    got: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> tuple[Outcome, str]:
        self.got.append(message)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        return outcome, "" if outcome is Outcome.SENT else "STUB"

    @property
    def code(self) -> str:
        """The last code that was sent."""
        return next(word for word in self.got[-1].body.replace(",", " ").replace("，", " ").split() if word.isdigit())


@dataclass
class Hall:
    """One gateway that tells residents."""

    store: SqlGatewayStore
    world: World
    clock: MovingClock
    senders: dict[Channel, StubSender]
    voices: Voices
    posts: PostDesk

    async def tell(self, step_id: str = "told") -> None:
        """A notice to the mother about her case."""
        notice = Notice(CASE, step_id, MOTHER, Text("出生登记已办结", "The birth is registered"))
        async with self.store.transaction() as tx:
            await tx.carry_out(Effects(notices=(notice,)), ())

    async def verified(self, channel: Channel = Channel.MAIL, address: str = "wang@example.cn") -> None:
        """The mother is to be told there."""
        with acting_as(RESIDENT):
            await self.voices.contacts.set(SetContact(channel, address, Language.ZH, f"k-{channel}-{address}"))
            await self.voices.contacts.confirm(channel, self.senders[channel].code)
        self.senders[channel].got.clear()

    async def sent(self) -> list[Post]:
        """Every post, newest first."""
        page = await self.store.list_posts(state=None, page_size=200, page_token="")
        return list(page.rows)


@asynccontextmanager
async def hall(database: str, folder: Path) -> AsyncIterator[Hall]:
    """Open it with one case of the mother's."""
    clock = MovingClock()
    async with SqlGatewayStore.open(resources(database, folder, clock=clock), encode=to_wire) as store:
        async with store.transaction() as tx:
            await tx.open_case(CASE, PLAN, CaseOpened(NOW, "r-1", "sample", PLAN.digest, MOTHER, {}))
        world = World(store, workflows_of(PLAN), clock)
        senders = {channel: StubSender() for channel in Channel}
        voices = Voices(NoticeDesk(store, world.engine), ContactDesk(store, senders, clock=clock))
        posts = PostDesk(store, world.engine, senders, public_url=URL, poll_seconds=0.05)
        yield Hall(store, world, clock, senders, voices, posts)


class _NothingKept:
    """No notices, no contacts; whatever is asked for is not there."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["_NothingKept"]:
        yield self

    def digest(self, text: str) -> str:
        return text

    async def find(self, receipt_or_case_id: str) -> CaseRow | None:
        return None

    async def notice_of(self, subject_id: str, notice_id: str) -> KeptNotice:
        raise NoticeNotFound("You have no such notice.")

    async def notices_of(self, subject_id: str, *, unread: bool, page_size: int, page_token: str) -> Page[KeptNotice]:
        return Page(())

    async def count_unread(self, subject_id: str) -> int:
        return 0

    async def posts_are_due(self, now: datetime) -> bool:
        return False

    async def list_posts(self, *, state: PostState | None, page_size: int, page_token: str) -> Page[Post]:
        return Page(())

    async def sandbox_messages(self, limit: int) -> Sequence[Shown]:
        return ()

    async def contacts_of(self, subject_id: str) -> Sequence[Contact]:
        return ()

    async def mark_read(self, subject_id: str, notice_id: str, now: datetime) -> None:
        raise NoticeNotFound("You have no such notice.")

    async def mark_all_read(self, subject_id: str, until: datetime, now: datetime) -> int:
        return 0

    async def take_posts(self, now: datetime, limit: int) -> Sequence[Post]:
        return ()

    async def give_up_posts(self, now: datetime) -> int:
        return 0

    async def save_post(self, post: Post) -> None:
        """Nothing is kept."""

    async def add_sandbox_message(self, channel: Channel, message: Message, now: datetime, keep: int) -> None:
        """Nothing is kept."""

    async def contact(self, subject_id: str, channel: Channel) -> Contact:
        raise ContactNotFound("You have no such contact.")

    async def save_contact(self, new: Contact) -> None:
        """Nothing is kept."""

    async def delete_contact(self, subject_id: str, channel: Channel) -> None:
        """Nothing is kept."""

    async def count_code(self, whose: str, day: str) -> int:
        return 1

    async def forget_code_counts(self, before_day: str) -> None:
        """Nothing is kept."""


def no_voices() -> Voices:
    """For doors that other tests knock at."""
    world = World(MemoryGatewayStore(lambda: NOW), workflows_of(), lambda: NOW)
    store = _NothingKept()
    return Voices(NoticeDesk(store, world.engine), ContactDesk(store, {}, clock=lambda: NOW))
