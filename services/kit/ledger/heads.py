# SPDX-License-Identifier: Apache-2.0
"""Signed tree heads: on demand for a proof, and on a schedule while the tree grows; each is told as a fact."""

import asyncio
from typing import Final

from tongban.ledger.v1 import ledger_events_pb2

from services.kit.crypto import SigningKey
from services.kit.envelope import Outgoing
from services.kit.errors import Unavailable
from services.kit.ledger import merkle
from services.kit.ledger.access import SignedHead, canonical, rfc3339
from services.kit.ledger.rows import Book, Rows
from services.kit.ledger.statements import HEAD_TYPE
from services.kit.logs import get_logger

SIGN_EVERY_SECONDS: Final = 60.0


class Heads:
    """Signs at most one head for each size of the tree."""

    def __init__(self, book: Book, rows: Rows, signing_key: SigningKey) -> None:
        self._book = book
        self._rows = rows
        self._key = signing_key
        self._newest: SignedHead | None = None
        self._signing = asyncio.Lock()
        self._grown = asyncio.Event()

    def grown(self) -> None:
        """Leaves were added: a head is due within the minute."""
        self._grown.set()

    def public_key(self) -> dict[str, str]:
        """The JWK that heads are verified with."""
        return self._key.public_jwk()

    async def covering(self, index: int | None) -> SignedHead:
        """A head that covers leaf `index`, or every durable leaf where None; signs one where there is none yet."""
        newest = self._newest
        if index is not None and newest is not None and index < newest.tree_size:
            return newest
        async with self._signing:  # callers that come together share the signature
            async with self._book.reading() as connection:
                frontier = await self._rows.frontier(connection)
                newest = await self._rows.newest_head(connection)
            if newest is None or newest.tree_size < frontier.size:
                newest = await self._another()
            self._newest = newest
            return newest

    async def keep(self) -> None:
        """Sign a head once a minute while the tree grows."""
        while True:
            await self._grown.wait()
            await asyncio.sleep(SIGN_EVERY_SECONDS)
            self._grown.clear()
            try:
                await self.covering(None)
            except Unavailable:
                self._grown.set()
                get_logger().warning("ledger_head_delayed", ledger=self._book.service)

    async def _another(self) -> SignedHead:
        """A new head, unless another process was faster.

        The frontier stays locked until the commit: heads of several processes leave in the order of their sizes.
        """
        async with self._book.transaction() as tx:
            frontier = await self._rows.frontier(tx.connection, lock=True)
            newest = await self._rows.newest_head(tx.connection)
            if newest is not None and newest.tree_size == frontier.size:
                return newest
            head = self._signed(frontier)
            await self._rows.add_head(tx, head)
            fact = ledger_events_pb2.LedgerHeadSigned(head=head.to_wire())
            await tx.record(Outgoing(message=fact, key=self._book.service))
        return head

    def _signed(self, frontier: merkle.Frontier) -> SignedHead:
        now = self._book.clock()
        root = frontier.root()
        payload = canonical(
            {"log": self._book.service, "root": root.hex(), "size": frontier.size, "time": rfc3339(now)}
        )
        return SignedHead(
            log=self._book.service,
            tree_size=frontier.size,
            root_hash=root,
            sign_time=now,
            jws=self._key.sign_jws(payload, {"typ": HEAD_TYPE}),
        )
