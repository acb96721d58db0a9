# SPDX-License-Identifier: Apache-2.0
"""Telling the holders of grants what a change of a resource means for them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from services.exchange.domain.change import HoldersNotified, Loss, Notice, NoticeState, holding, loss, notices
from services.exchange.domain.grant import Grant
from services.exchange.domain.resource import Resource

GRANTS_EACH = 1_000


class NoticeRows(Protocol):
    """What telling reads and writes."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""

    async def grants_on(self, code: str, *, after: Grant | None, limit: int) -> Sequence[Grant]:
        """Give grants on a resource in the order of their making, those that follow `after`."""

    async def save_notices(self, notices: Sequence[Notice]) -> None:
        """Put notices into inboxes; one that is there says what holds now."""


async def losses(
    tx: NoticeRows, before: Resource, after: Resource, *, now: datetime, grants_max: int | None = None
) -> tuple[list[Loss], bool]:
    """Give what each grant in force loses, be it nothing, and whether there are more grants than were looked at."""
    found: list[Loss] = []
    last: Grant | None = None
    looked_at = 0
    while some := await tx.grants_on(before.code, after=last, limit=GRANTS_EACH):
        found += [loss(each, before, after) for each in holding(some, now)]
        last = some[-1]
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
