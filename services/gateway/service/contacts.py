# SPDX-License-Identifier: Apache-2.0
"""Residents say where they want to be told, and prove that the address is theirs."""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from services.gateway.domain.contacts import (
    CODES_PER_DAY,
    Channel,
    ChannelNotOffered,
    CodeWrong,
    Contact,
    ContactNotFound,
    Language,
    TooManyCodes,
    check_address,
    tried,
    with_code,
)
from services.gateway.domain.notices import Message, Outcome, code_words
from services.gateway.domain.values import china_date, china_dawn
from services.gateway.service.drafts import citizen
from services.gateway.service.notices import Sender
from services.kit.clock import Clock
from services.kit.errors import RequestIdReused, RequestInvalid, Unavailable, Violation
from services.kit.ids import new_id

_A_DAY = timedelta(days=1)


class ContactTransaction(Protocol):
    """What a transaction reads and writes of contacts."""

    async def contact(self, subject_id: str, channel: Channel) -> Contact:
        """Read and lock. Raises ContactNotFound."""

    async def save_contact(self, new: Contact) -> None:
        """Insert or replace."""

    async def delete_contact(self, subject_id: str, channel: Channel) -> None:
        """Forget it."""

    async def count_code(self, whose: str, day: str) -> int:
        """Count one more code of this day; give how many."""

    async def forget_code_counts(self, before_day: str) -> None:
        """Forget the counts of days before this one."""


class ContactStore(Protocol):
    """What is kept."""

    def transaction(self) -> AbstractAsyncContextManager[ContactTransaction]:
        """All or nothing."""

    def digest(self, text: str) -> str:
        """A keyed digest."""

    async def contacts_of(self, subject_id: str) -> Sequence[Contact]:
        """A resident's, at most one of each channel."""


@dataclass(frozen=True, slots=True)
class SetContact:
    """A resident wants to be told here."""

    channel: Channel
    address: str = field(repr=False)
    language: Language
    idempotency_key: str


class ContactDesk:
    """Each call is for the calling resident."""

    def __init__(self, store: ContactStore, senders: Mapping[Channel, Sender], *, clock: Clock) -> None:
        self._store = store
        self._senders = senders
        self._clock = clock

    @property
    def offered(self) -> tuple[Channel, ...]:
        """The channels that the platform sends by."""
        return tuple(channel for channel in Channel if channel in self._senders)

    async def list(self) -> Sequence[Contact]:
        """The caller's."""
        return await self._store.contacts_of(citizen().id)

    async def set(self, command: SetContact) -> Contact:
        """Take an address and send a code there; a verified one that is given again keeps its standing, and needs none.

        ChannelNotOffered, RequestInvalid (no such address can be, or the channel refuses it), TooManyCodes,
        REQUEST_ID_REUSED; Unavailable where the code could not be sent: the same request again tries again.
        """
        me, channel = citizen().id, command.channel
        sender = self._senders.get(channel)
        if sender is None:
            raise ChannelNotOffered(f"Nothing is sent by {channel.value} here.")
        check_address(channel, command.address)
        request, code = self._store.digest(command.idempotency_key), f"{secrets.randbelow(10**6):06d}"
        wanted = Contact(me, channel, command.address, command.language)
        async with self._store.transaction() as tx:
            before = await _own(tx, me, channel)
            if before is not None and before.request == request:
                if (before.address, before.language) != (wanted.address, wanted.language):
                    raise RequestIdReused("The key came with another contact.")
                return before
            if before is not None and before.verified is not None and before.address == wanted.address:
                after = replace(before, language=wanted.language)
                await tx.save_contact(after)
                return after
            await self._count(tx, f"resident:{me}", f"address:{channel.value}:{wanted.address}")
            await tx.save_contact(with_code(wanted, self._digest(wanted, code), self._clock()))
        await _send(sender, wanted, code)
        async with self._store.transaction() as tx:
            after = replace(await tx.contact(me, channel), request=request)
            await tx.save_contact(after)
        return after

    async def confirm(self, channel: Channel, code: str) -> Contact:
        """Show the code that was sent; five tries. Raises ContactNotFound or CodeWrong."""
        async with self._store.transaction() as tx:
            before = await tx.contact(citizen().id, channel)
            if before.verified is not None and not before.code:
                return before
            after = tried(before, self._digest(before, code), self._clock())
            await tx.save_contact(after)
        if after.verified is None:
            raise CodeWrong("This code does not count.", remedy="Look at the newest one, or have another one sent.")
        return after

    async def delete(self, channel: Channel) -> None:
        """Nothing is sent there any more, and the address is forgotten. Raises ContactNotFound."""
        async with self._store.transaction() as tx:
            await tx.contact(citizen().id, channel)
            await tx.delete_contact(citizen().id, channel)

    async def forget_old(self) -> None:
        """Forget the counts of days that are over."""
        async with self._store.transaction() as tx:
            await tx.forget_code_counts(_day(self._clock()))

    async def _count(self, tx: ContactTransaction, *whose: str) -> None:
        now = self._clock()
        for each in whose:
            if await tx.count_code(self._store.digest(each), _day(now)) > CODES_PER_DAY:
                raise TooManyCodes(
                    f"At most {CODES_PER_DAY} codes are sent a day.",
                    remedy="Try again tomorrow.",
                    retry_after_seconds=(china_dawn(now) + _A_DAY - now).total_seconds(),
                )

    def _digest(self, contact: Contact, code: str) -> str:
        return self._store.digest(f"code:{contact.subject_id}:{contact.channel.value}:{contact.address}:{code}")


async def _own(tx: ContactTransaction, subject_id: str, channel: Channel) -> Contact | None:
    try:
        return await tx.contact(subject_id, channel)
    except ContactNotFound:
        return None


async def _send(sender: Sender, contact: Contact, code: str) -> None:
    """An attempt whose end is not known counts as sent: the resident sees whether the code comes."""
    subject, body = code_words(contact.channel, contact.language, code)
    outcome, _ = await sender.send(Message(new_id(), contact.address, subject, body))
    if outcome is Outcome.REFUSED:
        violation = Violation("address", "Is not taken by the channel.")
        raise RequestInvalid("The code could not be sent there.", violations=[violation])
    if outcome is Outcome.LATER:
        raise Unavailable("The code could not be sent just now.", retry_after_seconds=30)


def _day(now: datetime) -> str:
    return china_date(now).replace("-", "")
