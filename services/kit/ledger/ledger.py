# SPDX-License-Identifier: Apache-2.0
"""One service's ledger: appends that share a commit, heads signed when somebody asks, proofs in O(log n) reads."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.caller import CallerKind, current_caller
from services.kit.crypto import SigningKey
from services.kit.errors import NotFound, Refusal, RequestIdReused, RequestInvalid, Unavailable, Violation
from services.kit.ledger import merkle
from services.kit.ledger.access import (
    Access,
    Entry,
    Leaf,
    ProvenLeaf,
    Receipt,
    SignedHead,
    Withheld,
    blinded,
    canonical,
    rfc3339,
)
from services.kit.ledger.group import GroupCommit
from services.kit.ledger.heads import Heads
from services.kit.ledger.keys import REFRESH_SECONDS, Keys
from services.kit.ledger.orders import Orders
from services.kit.ledger.own import OwnLeaves, blinding_of
from services.kit.ledger.rows import Book, Rows
from services.kit.ledger.search import SUMMARY_SECONDS, Searches
from services.kit.ledger.segments import Segments
from services.kit.ledger.witnessed import Witnessed
from services.kit.logs import get_logger

LEAVES_MAX = 1000
Forget = Callable[[Any, str], Awaitable[None]]
"""Makes a service's own rows forget a person: given the transaction of the erasure, and what leaves call the person until then."""
CASE_CHARACTERS_MAX = 200
"""A fact about a case has the case as its key."""
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
        self._keys = Keys(book)
        self._forgetting: list[Forget] = []
        self.orders = Orders(book)
        self.own = OwnLeaves(book, self._rows, self._heads, self._keys, self.orders)
        self.witnessed = Witnessed(book, self._rows)
        self.searches = Searches(book, self._rows, self._keys, self)
        self.segments = Segments(book, self._rows)
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

    def entry(self, access: Access, *, subject: str = "") -> Entry:
        """The leaf of a use by the current caller, now; a resident who asks appears as a pseudonym too.

        `subject`: the pseudonym of whom it is about, where the subject id is not known.

        Raises:
            RequestInvalid: the case has a name that no database takes.
        """
        _must_be_writable(access)
        caller = current_caller()
        persons = self._keys.persons
        name, key = persons.of(access.subject_id)
        if not access.subject_id:
            name = subject
        label = caller.label
        if caller.kind is CallerKind.CITIZEN:
            label = f"{caller.kind.value}:{persons.of(caller.id).name}"
        members: dict[str, object] = {
            "time": rfc3339(self._book.clock()),
            "operation": access.operation,
            "actor": caller.actor,
            "caller": label,
            "on_behalf_of": access.on_behalf_of,
            "subject": name,
            "purpose": access.purpose,
            "basis": access.basis,
            "resource": access.resource,
            "fields": list(access.fields),
            "case": access.case_id,
            "outcome": access.outcome,
            "digest": "",
        }
        blinding = b""
        if access.digest:
            blinding = blinding_of(key, members)
            members["digest"] = blinded(access.digest, blinding)
        body = canonical(members)
        return Entry(body, merkle.leaf_hash(body), name, access.case_id, blinding)

    async def receipt_again(self, connection: AsyncConnection, index: int, subject_id: str) -> Receipt:
        """The receipt of an earlier leaf, for whoever repeats a request; without a blinding where its body or the key is gone."""
        [leaf] = await self._rows.leaves(connection, [index])
        body = json.loads(leaf.body) if leaf.body else {}
        name, key = self._keys.persons.of(subject_id)
        opens = bool(body.get("digest")) and body["subject"] == name
        return Receipt(self.log, index, leaf.leaf_hash, blinding_of(key, body) if opens else b"")

    def name(self, subject_id: str) -> str:
        """What a person is called in this ledger, 64 hexadecimal digits."""
        return self._keys.persons.of(subject_id).name

    def also_forget(self, forget: Forget) -> None:
        """Have rows that go by a person's name in this ledger forget the person in the transaction that erases the key."""
        self._forgetting.append(forget)

    async def erase(self, request_id: str, subject_id: str, basis: str) -> Receipt:
        """Erase a person's key: afterwards nobody can tell which leaves are about them. The receipt is that of the last leaf by name."""
        current_caller().must("ledger.erase")
        access = Access("ledger.erase", subject_id, "erasure", basis, case_id=request_id)
        async with self._book.transaction() as tx:
            if await tx.first_sight(request_id):
                for name in self._keys.names(subject_id):
                    for forget in self._forgetting:
                        await forget(tx, name)
                receipt, erased = await self._keys.erase(tx, access)
            else:
                found = await self._rows.leaves_from(tx.connection, 0, 1, request_id)
                if not found:
                    raise RequestIdReused("This request id came before, with another request.")
                return Receipt(self.log, found[0].index, found[0].leaf_hash)
        erased.done()
        return receipt

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
        """The leaf with its proof; signs a new head where the last one is older than the leaf, and no witness has signed a later one.

        Raises:
            NotFound: no such leaf is durable yet.
        """
        async with self._book.reading() as connection:
            found = await self._rows.leaves(connection, [index])
            if not found:
                raise NotFound(f"The ledger {self.log} has no leaf {index}.")
            head = await self._rows.witnessed_head(connection, index)
        head = head or await self._heads.covering(index)
        async with self._book.reading() as connection:
            [path] = await self._rows.paths(connection, [merkle.inclusion_spans(index, head.tree_size)])
        return ProvenLeaf(leaf=found[0], path=path, head=head, withheld=None if found[0].body else Withheld())

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

    async def leaves_about(self, subject_id: str, *, before: int | None = None, limit: int = LEAVES_MAX) -> list[Leaf]:
        """The newest leaves about somebody, below `before`, without proofs: for a service that asks who knew what."""
        names = self._keys.names(subject_id)
        async with self._book.reading() as connection:
            return await self._rows.leaves_of(connection, names, before=before, limit=min(limit, LEAVES_MAX))

    async def leaves(self, from_index: int = 0, limit: int = 0, case_id: str = "") -> tuple[tuple[Leaf, ...], int]:
        """Leaves in order of index, and the index to go on from (the tree size at the end)."""
        limit = min(limit or 200, LEAVES_MAX)
        async with self._book.reading() as connection:
            size = (await self._rows.frontier(connection)).size
            found = await self._rows.leaves_from(connection, from_index, limit, case_id)
        if len(found) == limit:
            return tuple(found), found[-1].index + 1
        return tuple(found), max(size, found[-1].index + 1 if found else 0)

    async def archived_below(self) -> int:
        """Leaves below this index have their bodies in archive segments alone."""
        async with self._book.reading() as connection:
            return await self._rows.archived_below(connection)

    async def since(self) -> datetime | None:
        """When the oldest leaf was made whose body is here; None for an empty ledger."""
        async with self._book.reading() as connection:
            first = await self._rows.leaves_from(connection, await self._rows.archived_below(connection), 1, "")
        return datetime.fromisoformat(json.loads(first[0].body)["time"]) if first and first[0].body else None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Know the persons' keys; while the store is open, sign heads, forget keys that others erase, and write what searches go by."""
        await self._keys.load()
        keepers = [
            asyncio.create_task(self._heads.keep(), name=f"ledger-heads-{self.log}"),
            asyncio.create_task(_each(REFRESH_SECONDS, self._keys.refresh), name=f"ledger-keys-{self.log}"),
            asyncio.create_task(_each(SUMMARY_SECONDS, self.searches.summarize), name=f"ledger-blocks-{self.log}"),
        ]
        try:
            yield
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.wait(keepers)
            if self._late:
                await asyncio.wait(self._late, timeout=CLOSE_SECONDS)
            await self._group.drained(CLOSE_SECONDS)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._late.discard(task)
        if not task.cancelled() and task.exception() is not None:
            get_logger().error("ledger_leaf_of_a_cancelled_use_lost", ledger=self.log, exc_info=task.exception())


async def _each(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do the work again and again; where the database is away, the next turn catches up."""
    while True:
        await asyncio.sleep(seconds)
        with contextlib.suppress(Unavailable):
            await work()


def _must_be_writable(access: Access) -> None:
    """Refuse, before somebody is asked about, a case that facts can't be about later: the one character that PostgreSQL refuses, too long a key."""
    if "\0" in access.case_id or len(access.case_id) > CASE_CHARACTERS_MAX:
        rule = f"At most {CASE_CHARACTERS_MAX} characters, without NUL."
        raise RequestInvalid("The case can't be named so.", violations=[Violation("case_id", rule)])


def _outcome(error: Exception) -> str:
    if isinstance(error, Refusal):
        return error.reason
    return "UNAVAILABLE" if isinstance(error, Unavailable) else "INTERNAL"
