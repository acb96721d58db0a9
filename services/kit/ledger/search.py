# SPDX-License-Identifier: Apache-2.0
"""Auditors search the ledger, and each search is a leaf itself.

Appends pay nothing for it: what a block of 1,024 leaves has in it (four bytes of a hash for each word, and from when to when) is
written once the block is full, and a search reads only blocks that may have what it looks for. Persons and cases have indexes of their own.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.errors import RequestInvalid, Violation
from services.kit.ledger.access import Access, Leaf, Receipt, canonical, rfc3339
from services.kit.ledger.keys import Keys
from services.kit.ledger.rows import Book, Rows
from services.kit.paging import LONG_MAX, encode_token, number_after

if TYPE_CHECKING:
    from services.kit.ledger.ledger import Ledger

BLOCK: Final = 1024
SUMMARY_SECONDS: Final = 60.0
PAGE_SIZE: Final = 50
LOOKS_MAX: Final = 20 * BLOCK
"""Leaves that one call looks at."""
_CHUNK: Final = 512
_BLOCKS_AT_ONCE: Final = 200
_BLOCKS_A_TURN: Final = 500
_MARK_BYTES: Final = 4
_MARKED: Final = ("actor", "outcome", "purpose", "resource")
_PLAIN: Final = re.compile(
    rb'{"actor":"([^"\\]*)",.*"outcome":"([^"\\]*)","purpose":"([^"\\]*)","resource":"([^"\\]*)","subject":"[^"]*","time":"([^"\\]*)"}'
)


@dataclass(frozen=True, slots=True)
class Search:
    """What an auditor looks for, and why; empty doesn't narrow."""

    purpose: str
    basis: str
    from_time: datetime | None = None
    to_time: datetime | None = None
    actor: str = ""
    resource: str = ""
    used_for: str = ""
    outcome: str = ""
    case_id: str = ""
    subject_id: str = ""

    @property
    def words(self) -> dict[str, str]:
        """The members of a leaf that must be so."""
        said = {
            "actor": self.actor,
            "resource": self.resource,
            "purpose": self.used_for,
            "outcome": self.outcome,
            "case": self.case_id,
        }
        return {name: word for name, word in said.items() if word}

    @property
    def named(self) -> tuple[str, ...]:
        """What the search goes by, for its leaf."""
        others = {"from": self.from_time, "to": self.to_time, "subject": self.subject_id}
        return (*self.words, *(name for name, value in others.items() if value))


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, newest first, and the leaf of the search."""

    leaves: tuple[Leaf, ...]
    next_token: str
    receipt: Receipt


class _Test:
    """Whether a leaf is one of those; canonical bytes have a word in one way only, so most are decided without parsing."""

    def __init__(self, search: Search, names: Sequence[str]) -> None:
        self._words = search.words
        self._needles = [canonical({name: word})[1:-1] for name, word in self._words.items()]
        self.names = names
        self.case_id = search.case_id
        self.since = rfc3339(search.from_time) if search.from_time else ""
        self.until = rfc3339(search.to_time) if search.to_time else "~"
        self.marks = [_mark(name, word) for name, word in self._words.items() if name in _MARKED]

    def takes(self, leaf: Leaf) -> bool:
        """Whether this leaf."""
        if not leaf.body or not all(needle in leaf.body for needle in self._needles):
            return False
        body = json.loads(leaf.body)
        return (
            all(body.get(name) == word for name, word in self._words.items())
            and (not self.names or body.get("subject") in self.names)
            and self.since <= body["time"] < self.until
        )

    def may_take(self, first: str, last: str, marks: bytes) -> bool:
        """Whether a block may have one."""
        return self.since <= last and first < self.until and all(_has(marks, mark) for mark in self.marks)


class Searches:
    """Searches of one service's ledger."""

    def __init__(self, book: Book, rows: Rows, keys: Keys, ledger: "Ledger") -> None:
        self._book = book
        self._rows = rows
        self._keys = keys
        self._ledger = ledger
        self._table = book.tables.ledger_block

    async def find(self, search: Search, page_size: int = 0, token: str = "") -> Found:
        """Look through a bounded number of leaves, newest first.

        Raises:
            RequestInvalid: the times are not in order.
        """
        if search.from_time and search.to_time and search.from_time >= search.to_time:
            raise RequestInvalid(
                "Nothing lies between these times.", violations=[Violation("to_time", "After from_time.")]
            )
        access = Access(
            "ledger.search",
            search.subject_id,
            search.purpose,
            search.basis,
            search.named,
            resource=search.resource,
            case_id=search.case_id,
        )
        async with self._ledger.account(access) as account:
            leaves, below = await self._found(
                search, page_size or PAGE_SIZE, number_after(token, "below", most=LONG_MAX)
            )
            receipt = await account.answered()
        return Found(tuple(leaves), encode_token(below=below) if below else "", receipt)

    async def summarize(self) -> None:
        """Write down what full blocks have in them, some of them at a time."""
        async with self._book.reading() as connection:
            known = (await connection.execute(select(func.max(self._table.c.block)))).scalar_one()
            size = (await self._rows.frontier(connection)).size
        first = 0 if known is None else int(known) + 1
        for block in range(first, min(size // BLOCK, first + _BLOCKS_A_TURN)):
            async with self._book.reading() as connection:
                leaves = await self._rows.leaves_from(connection, block * BLOCK, BLOCK, "")
            row = _summary(leaves)
            async with self._book.transaction() as tx:
                insert = tx.insert(self._table).values(block=block, **row)
                await tx.connection.execute(insert.on_conflict_do_nothing())

    async def _found(self, search: Search, size: int, below: int | None) -> tuple[list[Leaf], int]:
        test = _Test(search, self._keys.names(search.subject_id) if search.subject_id else ())
        async with self._book.reading() as connection:
            size_now = (await self._rows.frontier(connection)).size
            at = size_now if below is None else min(below, size_now)
            if test.names or test.case_id:
                return await self._through_index(connection, test, size, at)
            floor = await self._rows.archived_below(connection) // BLOCK
            return await self._through_blocks(connection, test, size, at, floor)

    async def _through_index(
        self, connection: AsyncConnection, test: _Test, size: int, below: int
    ) -> tuple[list[Leaf], int]:
        found: list[Leaf] = []
        for _ in range(LOOKS_MAX // _CHUNK):
            leaves = (
                await self._rows.leaves_of(connection, test.names, before=below, limit=_CHUNK)
                if test.names
                else await self._rows.leaves_below(connection, below, _CHUNK, case_id=test.case_id)
            )
            for leaf in leaves:
                below = leaf.index
                if test.takes(leaf):
                    found.append(leaf)
                    if len(found) == size:
                        return found, below
            if len(leaves) < _CHUNK:
                return found, 0
            await asyncio.sleep(0)  # others' calls go on between two chunks
        return found, below

    async def _through_blocks(
        self, connection: AsyncConnection, test: _Test, size: int, below: int, floor: int
    ) -> tuple[list[Leaf], int]:
        """Block after block from the newest down to `floor`; one without a summary is looked through."""
        found: list[Leaf] = []
        summaries: dict[int, bool] = {}
        looked = 0
        while below > floor * BLOCK and looked < LOOKS_MAX:
            block = (below - 1) // BLOCK
            if block not in summaries:
                summaries = await self._may_have(connection, test, block)
            if summaries[block]:
                least = block * BLOCK
                for leaf in await self._rows.leaves_below(connection, below, BLOCK, case_id="", least=least):
                    if test.takes(leaf):
                        found.append(leaf)
                        if len(found) == size:
                            return found, leaf.index
                looked += below - least
                await asyncio.sleep(0)
            below = block * BLOCK
        return found, below if below > floor * BLOCK else 0

    async def _may_have(self, connection: AsyncConnection, test: _Test, newest: int) -> dict[int, bool]:
        """For some blocks from `newest` down, whether each may have what is looked for."""
        least = max(0, newest - _BLOCKS_AT_ONCE + 1)
        may = dict.fromkeys(range(least, newest + 1), True)
        query = select(self._table).where(self._table.c.block.between(least, newest))
        for row in await connection.execute(query):
            may[row.block] = test.may_take(row.first_time, row.last_time, row.marks)
        return may


def _summary(leaves: Sequence[Leaf]) -> Mapping[str, object]:
    said = [_said(leaf.body) for leaf in leaves if leaf.body]
    words = {(name, word) for *each, _ in said for name, word in zip(_MARKED, each, strict=True)}
    times = [each[-1] for each in said]
    return {
        "first_time": min(times, default=""),
        "last_time": max(times, default=""),
        "marks": b"".join(sorted(_mark(name, word) for name, word in words)),
    }


def _said(body: bytes) -> tuple[str, ...]:
    """The marked words and the time; read off canonical bytes in their order where no word has anything escaped, a tenth of parsing."""
    plain = _PLAIN.match(body)
    if plain is not None:
        return tuple(word.decode() for word in plain.groups())
    members = json.loads(body)
    return tuple(str(members[name]) for name in (*_MARKED, "time"))


def _mark(name: str, word: str) -> bytes:
    return hashlib.sha256(f"{name}={word}".encode()).digest()[:_MARK_BYTES]


def _has(marks: bytes, mark: bytes) -> bool:
    at = marks.find(mark)
    while at % _MARK_BYTES > 0:  # between two marks; -1 % 4 is 3, and the search ends below
        if at < 0:
            return False
        at = marks.find(mark, at + 1)
    return at >= 0
