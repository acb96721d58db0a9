# SPDX-License-Identifier: Apache-2.0
"""One service's ledger: appends that share a commit, heads signed when somebody asks, proofs in O(log n) reads."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.caller import CallerKind, current_caller
from services.kit.crypto import SigningKey
from services.kit.errors import NotFound, Refusal, RequestInvalid, Unavailable, Violation
from services.kit.ledger import merkle
from services.kit.ledger.access import Access, Entry, Leaf, ProvenLeaf, Receipt, SignedHead, canonical, rfc3339
from services.kit.ledger.group import GroupCommit
from services.kit.ledger.heads import Heads
from services.kit.ledger.rows import Book, Rows
from services.kit.logs import get_logger
from services.kit.paging import Page, decode_token, encode_token

PAGE_SIZE = 50
PAGE_SIZE_MAX = 200
LEAVES_MAX = 1000
CLOSE_SECONDS = 2.0


class Account:
    """One use of personal data on its way; as an async context it ends in exactly one leaf, whatever happens inside.

    A refusal or failure inside becomes a leaf with its reason as outcome, and goes on; so does a caller who gives up
    (`CANCELLED`), without being waited for. A block that ends without `answered()` raises RuntimeError: an answer
    without a leaf must not leave.
    """

    __slots__ = ("_answering", "_ledger", "access", "receipt")

    def __init__(self, ledger: "Ledger", access: Access) -> None:
        self._ledger = ledger
        self.access = access
        self.receipt: Receipt | None = None
        self._answering = False

    async def __aenter__(self) -> Self:
        """Begin; nothing is written yet."""
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Write the leaf of what went wrong, unless one was written."""
        if error is None:
            if self.receipt is None:
                raise RuntimeError("A use of personal data ended without its leaf.")
        elif isinstance(error, Exception):
            await self.refused(_outcome(error))
        elif isinstance(error, asyncio.CancelledError) and not self._answering:
            self._ledger.afterwards(self.refused("CANCELLED"))

    async def answered(
        self, *, fields: Sequence[str] | None = None, digest: str = "", outcome: str = "", subject_id: str | None = None
    ) -> Receipt:
        """Write the leaf of an answer about to be given: what it shows, and its keyed digest. Durable on return.

        Args:
            fields: names of the fields shown; those asked for where left out.
            digest: `Keyring.digest` of the answer.
            outcome: another word than `answered`, e.g. `no_match`.
            subject_id: who it turned out to be about, where the request didn't say.
        """
        if self.receipt is not None:
            raise RuntimeError("One use of personal data has one leaf.")
        self._answering = True
        access = self.access
        self.access = access._replace(
            fields=access.fields if fields is None else tuple(fields),
            digest=digest or access.digest,
            outcome=outcome or access.outcome,
            subject_id=access.subject_id if subject_id is None else subject_id,
        )
        self.receipt = await self._ledger.append(self.access)
        return self.receipt

    async def refused(self, reason: str) -> None:
        """Write the leaf of a use that was not answered, unless there is one already."""
        if self.receipt is None:
            self.receipt = await self._ledger.append(self.access._replace(outcome=reason, digest=""))


class Ledger:
    """Writer and reader of the leaves in one service's own store. Every process of the service appends to the same tree."""

    def __init__(self, book: Book, *, signing_key: SigningKey) -> None:
        self._book = book
        self._rows = Rows(book)
        self._group = GroupCommit(book, self._rows)
        self._heads = Heads(book, self._rows, signing_key)
        self._late: set[asyncio.Task[None]] = set()

    @property
    def log(self) -> str:
        """The ledger's name: the service that keeps it."""
        return self._book.service

    async def append(self, access: Access) -> Receipt:
        """Add one leaf; durable on return. Concurrent calls share a commit.

        Raises:
            Unavailable: the database does not answer; give no answer then.
        """
        receipt = await self._group.append(self.entry(access))
        self._heads.grown()
        return receipt

    async def append_in(self, connection: AsyncConnection, entries: Sequence[Entry]) -> list[Receipt]:
        """Add leaves within a transaction of the same store; the frontier stays locked until it ends."""
        receipts = await self._rows.append(connection, entries)
        self._heads.grown()
        return receipts

    def account(self, access: Access) -> Account:
        """Account for one use: `async with ledger.account(access) as account`. Raises RequestInvalid as `entry` does."""
        _must_be_writable(access)
        return Account(self, access)

    def afterwards(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what nobody waits for any more; closing the store waits for it."""
        task = asyncio.create_task(work, name="ledger-afterwards")
        self._late.add(task)
        task.add_done_callback(self._ended)

    def entry(self, access: Access) -> Entry:
        """The leaf of a use by the current caller, now; a resident who asks appears as a pseudonym too.

        Raises:
            RequestInvalid: the case has a name that no database takes.
        """
        _must_be_writable(access)
        caller = current_caller()
        keyring = self._book.keyring
        subject = keyring.pseudonym(access.subject_id) if access.subject_id else ""
        label = caller.label
        if caller.kind is CallerKind.CITIZEN:
            label = f"{caller.kind.value}:{keyring.pseudonym(caller.id)}"
        body = canonical(
            {
                "time": rfc3339(self._book.clock()),
                "operation": access.operation,
                "actor": caller.actor,
                "caller": label,
                "on_behalf_of": access.on_behalf_of,
                "subject": subject,
                "purpose": access.purpose,
                "basis": access.basis,
                "resource": access.resource,
                "fields": list(access.fields),
                "case": access.case_id,
                "outcome": access.outcome,
                "digest": access.digest,
            }
        )
        return Entry(body=body, leaf_hash=merkle.leaf_hash(body), subject=subject, case_id=access.case_id)

    async def head(self) -> SignedHead:
        """A signed head that covers every durable leaf."""
        return await self._heads.covering(None)

    async def heads(self) -> tuple[SignedHead, ...]:
        """Every head signed so far, smallest first."""
        found: list[SignedHead] = []
        async with self._book.reading() as connection:
            while page := await self._rows.heads_from(connection, found[-1].tree_size + 1 if found else 0, LEAVES_MAX):
                found += page
        return tuple(found)

    def public_key(self) -> dict[str, str]:
        """The JWK that heads are verified with."""
        return self._heads.public_key()

    async def inclusion(self, index: int) -> ProvenLeaf:
        """The leaf with its proof; signs a new head where the last one is older than the leaf.

        Raises:
            NotFound: no such leaf is durable yet.
        """
        async with self._book.reading() as connection:
            found = await self._rows.leaves(connection, [index])
        if not found:
            raise NotFound(f"The ledger {self.log} has no leaf {index}.")
        return (await self._proven(found))[0]

    async def consistency(self, first: int, second: int) -> tuple[bytes, ...]:
        """The proof that the tree of `second` leaves only adds to that of `first`.

        Raises:
            RequestInvalid: the sizes are not in order.
            NotFound: the tree is not that large yet.
        """
        if not 1 <= first <= second:
            raise RequestInvalid("The first size is at least 1 and not above the second.")
        async with self._book.reading() as connection:
            size = (await self._rows.frontier(connection)).size
            if second > size:
                raise NotFound(f"The ledger {self.log} has {size} leaves.")
            spans = merkle.consistency_spans(first, second)
            return (await self._rows.paths(connection, [spans]))[0]

    async def own_leaves(self, subject_id: str, page_size: int = 0, token: str = "") -> Page[ProvenLeaf]:
        """Every leaf about one person, newest first, each with its proof."""
        size = min(page_size or PAGE_SIZE, PAGE_SIZE_MAX)
        before = decode_token(token).get("before") if token else None
        async with self._book.reading() as connection:
            leaves = await self._rows.leaves_of(
                connection,
                self._book.keyring.pseudonym(subject_id),
                before=int(before) if before is not None else None,
                limit=size + 1,
            )
        more, leaves = len(leaves) > size, leaves[:size]
        rows = tuple(await self._proven(leaves)) if leaves else ()
        return Page(rows=rows, next_token=encode_token(before=leaves[-1].index) if more else "")

    async def leaves_about(self, subject: str, *, before: int | None = None, limit: int = LEAVES_MAX) -> list[Leaf]:
        """The newest leaves about one pseudonym, below `before`, without proofs: for a service that asks who knew what."""
        async with self._book.reading() as connection:
            return await self._rows.leaves_of(connection, subject, before=before, limit=min(limit, LEAVES_MAX))

    async def leaves(self, from_index: int = 0, limit: int = 0, case_id: str = "") -> tuple[tuple[Leaf, ...], int]:
        """Leaves in order of index, and the index to go on from (the tree size at the end)."""
        limit = min(limit or 200, LEAVES_MAX)
        async with self._book.reading() as connection:
            size = (await self._rows.frontier(connection)).size
            found = await self._rows.leaves_from(connection, from_index, limit, case_id)
        if len(found) == limit:
            return tuple(found), found[-1].index + 1
        return tuple(found), max(size, found[-1].index + 1 if found else 0)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Sign heads on a schedule while the store is open; costs nothing while nothing is appended."""
        keeper = asyncio.create_task(self._heads.keep(), name=f"ledger-heads-{self.log}")
        try:
            yield
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
            if self._late:
                await asyncio.wait(self._late, timeout=CLOSE_SECONDS)
            await self._group.drained(CLOSE_SECONDS)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._late.discard(task)
        if not task.cancelled() and task.exception() is not None:
            get_logger().error("ledger_leaf_of_a_cancelled_use_lost", ledger=self.log, exc_info=task.exception())

    async def _proven(self, leaves: Sequence[Leaf]) -> list[ProvenLeaf]:
        head = await self._heads.covering(max(leaf.index for leaf in leaves))
        spans = [merkle.inclusion_spans(leaf.index, head.tree_size) for leaf in leaves]
        async with self._book.reading() as connection:
            paths = await self._rows.paths(connection, spans)
        return [ProvenLeaf(leaf=leaf, path=path, head=head) for leaf, path in zip(leaves, paths, strict=True)]


def _must_be_writable(access: Access) -> None:
    """Refuse the one character that PostgreSQL refuses in text, before somebody is asked about."""
    if "\0" in access.case_id:
        raise RequestInvalid("The case can't be named so.", violations=[Violation("case_id", "Text without NUL.")])


def _outcome(error: Exception) -> str:
    if isinstance(error, Refusal):
        return error.reason
    return "UNAVAILABLE" if isinstance(error, Unavailable) else "INTERNAL"
