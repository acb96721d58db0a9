# SPDX-License-Identifier: Apache-2.0
"""Telling the holders of grants what a change of a resource means for them."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from services.exchange.domain.change import HoldersNotified, Loss, Notice, NoticeState, holding, loss, notices
from services.exchange.domain.grant import Grant
from services.exchange.domain.resource import Resource

GRANTS_EACH = 1_000
_ON_ITS_WAY = timedelta(minutes=1)
"""A grant may be committed later than the moment written in it, and clocks differ a little."""

Place = tuple[datetime, str]
"""Of a grant in the order of their making: when, and its id."""


class GrantRows(Protocol):
    """Where grants are read."""

    async def grants_on(self, code: str, *, after: Place | None, limit: int) -> Sequence[Grant]:
        """Give grants on a resource in the order of their making, those that follow `after`."""


class NoticeRows(GrantRows, Protocol):
    """What telling reads and writes."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""

    async def save_notices(self, notices: Sequence[Notice]) -> None:
        """Put notices into inboxes; one that is there says what holds now."""


class NoticeStore(Protocol):
    """Where pages are read."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Open a transaction: a NoticeRows."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Reads each page of grants in a transaction of its own, so that nobody waits for the whole."""

    store: NoticeStore

    async def grants_on(self, code: str, *, after: Place | None, limit: int) -> Sequence[Grant]:
        """Give grants on a resource in the order of their making, those that follow `after`."""
        async with self.store.transaction() as tx:
            found: Sequence[Grant] = await tx.grants_on(code, after=after, limit=limit)
        return found


@dataclass(frozen=True, slots=True)
class Look:
    """What was found out about all grants before a change is made. `began`: what was granted later was maybe not seen."""

    revision: int
    told: Sequence[Loss]
    began: datetime


async def look(store: NoticeStore, before: Resource | None, after: Resource, *, now: datetime) -> Look | None:
    """Look at every grant in short transactions; None where there is nothing that could be lost."""
    if before is None:
        return None
    told, _ = await losses(Pages(store), before, after, now=now)
    return Look(before.revision, told, now)


async def told_of(
    tx: NoticeRows, looked: Look | None, before: Resource, after: Resource, *, now: datetime
) -> list[Loss]:
    """Give what each grant loses: as was found out before, and of grants since. All anew if the resource has changed."""
    if looked is None or looked.revision != before.revision:
        return (await losses(tx, before, after, now=now))[0]
    newer, _ = await losses(tx, before, after, now=now, last=(looked.began - _ON_ITS_WAY, ""))
    seen = {each.grant_id for each in newer}
    return [each for each in looked.told if each.grant_id not in seen] + newer


async def losses(
    rows: GrantRows,
    before: Resource,
    after: Resource,
    *,
    now: datetime,
    grants_max: int | None = None,
    last: Place | None = None,
) -> tuple[list[Loss], bool]:
    """Give what each grant in force loses, be it nothing, and whether there are more grants than were looked at."""
    found: list[Loss] = []
    looked_at = 0
    while some := await rows.grants_on(before.code, after=last, limit=GRANTS_EACH):
        found += [loss(each, before, after) for each in holding(some, now)]
        last = (some[-1].create_time, some[-1].grant_id)
        looked_at += len(some)
        if grants_max is not None and looked_at >= grants_max:
            return found, True
    return found, False


async def notify(
    tx: NoticeRows,
    told: Sequence[Loss],
    *,
    change_id: str,
    after: Resource,
    state: NoticeState,
    times: tuple[datetime, datetime],
    urgent_basis: str = "",
) -> None:
    """Put a notice into the inbox of each agency that holds a grant, and tell the fact once. `times`: now, effect."""
    inboxes = notices(told, change_id=change_id, after=after, state=state, urgent_basis=urgent_basis, times=times)
    if inboxes:
        await tx.save_notices(inboxes)
        await tx.record(HoldersNotified(change_id, after.code, times[1], len(inboxes)))
