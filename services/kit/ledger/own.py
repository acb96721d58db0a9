# SPDX-License-Identifier: Apache-2.0
"""A person's own leaves: every one of them is given, with its proof; what an order hides or an archive holds comes without its body."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.errors import NotFound
from services.kit.ledger import merkle
from services.kit.ledger.access import Leaf, ProvenLeaf, SignedHead, Withheld, rfc3339
from services.kit.ledger.heads import Heads
from services.kit.ledger.keys import Keys
from services.kit.ledger.orders import Order, Orders, by_or_for
from services.kit.ledger.rows import Book, Rows
from services.kit.paging import LONG_MAX, encode_token, number_after

PAGE_SIZE: Final = 50
PAGE_SIZE_MAX: Final = 200
LOOKS_MAX: Final = 2000
"""Leaves that one page of a filtered list looks at."""
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Narrow:
    """Which leaves are wanted; empty doesn't narrow. Leaves without a body pass: whether they match would tell what is in them."""

    from_time: datetime | None = None
    to_time: datetime | None = None
    agency: str = ""
    resource: str = ""
    purpose: str = ""
    outcome: str = ""

    def takes(self, body: Mapping[str, Any]) -> bool:
        """Whether a leaf is wanted."""
        time = str(body.get("time", ""))
        return (
            (self.from_time is None or time >= rfc3339(self.from_time))
            and (self.to_time is None or time < rfc3339(self.to_time))
            and (not self.agency or by_or_for(body, self.agency))
            and self.resource in {"", body.get("resource")}
            and self.purpose in {"", body.get("purpose")}
            and self.outcome in {"", body.get("outcome")}
        )


@dataclass(frozen=True, slots=True)
class OwnPage:
    """Some of a person's leaves, newest first, and how many there are in all, hidden ones among them."""

    rows: tuple[ProvenLeaf, ...]
    next_token: str
    total: int
    hidden: int


@dataclass(frozen=True, slots=True)
class _Shown:
    leaf: Leaf
    withheld: Withheld | None


@dataclass(frozen=True, slots=True)
class _About:
    """A person's pseudonyms, and the orders that hide something about them now."""

    names: Sequence[str]
    orders: Sequence[Order]


class OwnLeaves:
    """Reads one service's ledger for the people it is about."""

    def __init__(self, book: Book, rows: Rows, heads: Heads, keys: Keys, orders: Orders) -> None:
        self._book = book
        self._rows = rows
        self._heads = heads
        self._keys = keys
        self._orders = orders

    async def page(self, subject_id: str, narrow: Narrow | None = None, page_size: int = 0, token: str = "") -> OwnPage:
        """Leaves about one person, newest first. A page of a filtered list may be empty and have a next one."""
        size = min(page_size or PAGE_SIZE, PAGE_SIZE_MAX)
        before = number_after(token, "before", most=LONG_MAX)
        names = self._keys.names(subject_id)
        async with self._book.reading() as connection:
            about = _About(names, await self._orders.in_force(connection, names))
            shown, below = await self._wanted(connection, about, narrow or Narrow(), size, before)
            total = await self._rows.count_of(connection, names)
            hidden = await self._hidden(connection, about) if about.orders else 0
        rows = tuple(await self._proven(shown)) if shown else ()
        return OwnPage(rows, encode_token(before=below) if below else "", total, hidden)

    async def one(self, subject_id: str, index: int) -> ProvenLeaf:
        """One leaf, under a head that witnesses have signed where there is one. Raises NotFound for another person's."""
        leaf, names = await self._own(subject_id, index)
        async with self._book.reading() as connection:
            orders = await self._orders.in_force(connection, names)
            head = await self._rows.witnessed_head(connection, index)
        return (await self._proven([_shown(leaf, orders)], head))[0]

    async def blinding(self, subject_id: str, index: int) -> bytes:
        """What opens the digest of one leaf. Raises NotFound where there is none, or it can't be told."""
        leaf, names = await self._own(subject_id, index)
        async with self._book.reading() as connection:
            orders = await self._orders.in_force(connection, names)
            subject = await self._rows.subject_of(connection, index)
        if leaf.body and not _shown(leaf, orders).withheld and subject == names[0]:
            body = json.loads(leaf.body)
            if body["digest"]:
                return blinding_of(self._keys.persons.of(subject_id).key, body)
        raise NotFound(f"The digest of leaf {index} can't be opened.")

    async def _own(self, subject_id: str, index: int) -> tuple[Leaf, tuple[str, str]]:
        names = self._keys.names(subject_id)
        async with self._book.reading() as connection:
            if await self._rows.subject_of(connection, index) not in names:
                raise NotFound(f"There is no leaf {index} about the caller.")
            return (await self._rows.leaves(connection, [index]))[0], names

    async def _wanted(
        self, connection: AsyncConnection, about: _About, narrow: Narrow, size: int, before: int | None
    ) -> tuple[list[_Shown], int]:
        """The next leaves that pass, and the index to go on below; 0 at the end."""
        found: list[_Shown] = []
        looked = 0
        while looked < LOOKS_MAX:
            limit = min(_CHUNK, LOOKS_MAX - looked) if narrow != Narrow() else size + 1
            leaves = await self._rows.leaves_of(connection, about.names, before=before, limit=limit)
            for leaf in leaves:
                if len(found) == size:
                    return found, before or 0
                shown = _shown(leaf, about.orders)
                if shown.withheld or narrow.takes(json.loads(leaf.body)):
                    found.append(shown)
                before = leaf.index
            if len(leaves) < limit:
                return found, 0
            looked += len(leaves)
        return found, before or 0

    async def _hidden(self, connection: AsyncConnection, about: _About) -> int:
        """How many leaves orders hide; looks at all of the person's, since only a person with orders pays for it."""
        hidden, before = 0, None
        while leaves := await self._rows.leaves_of(connection, about.names, before=before, limit=_CHUNK):
            shown = [_shown(leaf, about.orders) for leaf in leaves]
            hidden += sum(each.withheld is not None and bool(each.withheld.order_id) for each in shown)
            before = leaves[-1].index
        return hidden

    async def _proven(self, shown: Sequence[_Shown], head: SignedHead | None = None) -> list[ProvenLeaf]:
        if head is None:
            head = await self._heads.covering(max(each.leaf.index for each in shown))
        spans = [merkle.inclusion_spans(each.leaf.index, head.tree_size) for each in shown]
        async with self._book.reading() as connection:
            paths = await self._rows.paths(connection, spans)
        return [
            ProvenLeaf(leaf=each.leaf, path=path, head=head, withheld=each.withheld)
            for each, path in zip(shown, paths, strict=True)
        ]


def blinding_of(key: bytes, body: Mapping[str, Any]) -> bytes:
    """What blinds the digest of a leaf: from the person's key and from what the leaf says anyway."""
    said = f"{body['time']}|{body['operation']}|{body['resource']}|{body['case']}"
    return hmac.digest(key, said.encode(), hashlib.sha256)


def _shown(leaf: Leaf, orders: Sequence[Order]) -> _Shown:
    if not leaf.body:
        return _Shown(leaf, Withheld())
    if orders:
        body = json.loads(leaf.body)
        for order in orders:
            if order.hides(body):
                return _Shown(Leaf(leaf.log, leaf.index, b"", leaf.leaf_hash), order.withheld)
    return _Shown(leaf, None)
