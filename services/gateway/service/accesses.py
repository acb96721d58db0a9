# SPDX-License-Identifier: Apache-2.0
"""Who used my data: the ledgers as one list, newest first, page by page."""

import asyncio
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime

from services.gateway.domain.refusals import TooManyAccesses
from services.gateway.service.ports import LedgerSource
from services.gateway.service.views import AccessPage, AccessView, NarrowAccesses
from services.kit.errors import PageTokenInvalid, RemoteFailure, Unavailable
from services.kit.paging import decode_token, encode_token

LOGS = ("identity", "licenses", "exchange", "gateway")
_LOOKS_MAX = 20
_USAGES_PAGE = 200
USAGES_MAX = 10_000


class _Cursor:
    """Where one ledger's list has been read to.

    A page begins at `token`; rows from index `below` on were given already. New leaves, which the very reading adds,
    only make the first page longer: nothing is shown twice and nothing is left out.
    """

    def __init__(self, log: str, token: str, below: int) -> None:
        self.log = log
        self.rows: deque[AccessView] = deque()
        self.ended = False
        self.missing = False
        self.total = 0
        self.hidden = 0
        self._token = token
        self._next: str | None = token
        self._below = below
        self._looks = 0
        self._time = datetime.max.replace(tzinfo=UTC)

    async def fill(self, source: LedgerSource, narrow: NarrowAccesses, page_size: int) -> None:
        """Have at least one row, or know that there is none."""
        while not self.rows and not self.ended:
            if self._next is None or self._looks >= _LOOKS_MAX:
                self.ended = True
                return
            self._looks += 1
            try:
                page = await source.own_leaves(self.log, narrow, page_size, self._next)
            except (Unavailable, RemoteFailure):
                self.missing = self.ended = True
                return
            self.total, self.hidden = page.total, page.hidden
            self._token = self._next
            self._next = page.next_token or None
            self.rows.extend(row for row in page.rows if self._below < 0 or row.index < self._below)

    def take(self) -> AccessView:
        """The newest row that was not given yet."""
        row = self.rows.popleft()
        self._below = row.index
        self._time = row.time or self._time
        return row

    @property
    def newest(self) -> datetime:
        """When the next row was made; one whose time is withheld comes right after the row before it in its ledger."""
        return self.rows[0].time or self._time

    @property
    def state(self) -> Mapping[str, str | int]:
        """What the next page goes on from."""
        return {f"{self.log}_token": self._token, f"{self.log}_below": self._below}

    @property
    def more(self) -> bool:
        """Whether another page may have rows of it; one that is away may."""
        return bool(self.rows) or self._next is not None or self.missing


async def merged(source: LedgerSource, narrow: NarrowAccesses, page_size: int, page_token: str) -> AccessPage:
    """One page. A ledger that does not answer is named, and asked again for the next page.

    Raises:
        PageTokenInvalid: not one of ours.
        Unavailable: no ledger answers.
    """
    before = decode_token(page_token)
    cursors = [_cursor(log, before) for log in LOGS]
    rows: list[AccessView] = []
    while len(rows) < page_size:
        await asyncio.gather(*(cursor.fill(source, narrow, page_size) for cursor in cursors))
        ready = [cursor for cursor in cursors if cursor.rows]
        if not ready:
            break
        rows.append(max(ready, key=lambda cursor: (cursor.newest, cursor.log)).take())
    missing = tuple(cursor.log for cursor in cursors if cursor.missing)
    if len(missing) == len(LOGS):
        raise Unavailable("No ledger answers.", retry_after_seconds=1)
    token = ""
    if any(cursor.more for cursor in cursors if not cursor.missing):
        token = encode_token(**{name: value for cursor in cursors for name, value in cursor.state.items()})
    total, hidden = sum(cursor.total for cursor in cursors), sum(cursor.hidden for cursor in cursors)
    return AccessPage(tuple(rows), token, missing, total, hidden)


def _cursor(log: str, before: Mapping[str, str | int]) -> _Cursor:
    token, below = before.get(f"{log}_token", ""), before.get(f"{log}_below", -1)
    if not isinstance(token, str) or not isinstance(below, int):
        raise PageTokenInvalid("The page token is not one of ours.")
    return _Cursor(log, token, below)


async def usages(source: LedgerSource, narrow: NarrowAccesses) -> tuple[AccessView, ...]:
    """Every access that can be read, newest first.

    Raises:
        TooManyAccesses: more than anybody looks through at once.
        Unavailable: a ledger does not answer; a count of some would be a wrong count.
    """

    async def of(log: str) -> list[AccessView]:
        rows: list[AccessView] = []
        token = ""
        while True:
            page = await source.own_leaves(log, narrow, _USAGES_PAGE, token)
            rows += [row for row in page.rows if row.withheld is None]
            token = page.next_token
            if not token:
                return rows
            if len(rows) > USAGES_MAX:
                raise TooManyAccesses(
                    "There are more accesses than can be counted here.", remedy="Ask for a shorter time."
                )

    found = await asyncio.gather(*(of(log) for log in LOGS))
    return tuple(sorted((row for rows in found for row in rows), key=_place, reverse=True))


def _place(row: AccessView) -> tuple[datetime, str, int]:
    assert row.time is not None, "only one that is withheld has none"
    return row.time, row.log, row.index
