# SPDX-License-Identifier: Apache-2.0
"""The ledger's rows in and out, inside connections that others open."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import (
    Executable,
    Row,
    Select,
    Table,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.clock import Clock
from services.kit.crypto import Keyring
from services.kit.ledger import merkle
from services.kit.ledger.access import Access, Cosignature, Entry, Leaf, Receipt, SignedHead
from services.kit.ledger.merkle import HASH_SIZE, Frontier, Node, Span

if TYPE_CHECKING:
    from services.kit.store.statement import Prepared
    from services.kit.store.tables import KitTables

_CHUNK = 400

# PostgreSQL moves the frontier and adds leaves and nodes in one statement, and only where the frontier still is where we
# knew it; the answer is the frontier as the statement found it. One round trip instead of six: a third of a group's time.
_MOVE = """
WITH moved AS (
  UPDATE ledger_frontier SET size = :size, peaks = :peaks WHERE id = 1 AND size = :known AND peaks = :before RETURNING size, peaks
), leaves AS (
  INSERT INTO ledger_leaf ("index", body, leaf_hash, subject, case_id)
  SELECT CAST(:known AS bigint) + new.at - 1, new.body, new.leaf_hash, new.subject, new.case_id
  FROM moved, unnest(
    CAST(:bodies AS bytea[]), CAST(:hashes AS bytea[]), CAST(:subjects AS text[]), CAST(:cases AS text[])
  ) WITH ORDINALITY AS new (body, leaf_hash, subject, case_id, at)
), nodes AS (
  INSERT INTO ledger_node (level, position, hash)
  SELECT new.level, new.position, new.hash
  FROM moved, unnest(
    CAST(:levels AS integer[]), CAST(:positions AS bigint[]), CAST(:nodes AS bytea[])
  ) AS new (level, position, hash)
)
SELECT true, size, peaks FROM moved
UNION ALL SELECT false, size, peaks FROM ledger_frontier WHERE id = 1 AND NOT EXISTS (SELECT FROM moved)
"""


class Writing(Protocol):
    """What the ledger needs of an open transaction."""

    @property
    def connection(self) -> AsyncConnection:
        """Where its statements go."""

    def insert(self, table: Table) -> postgresql.Insert:
        """An INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""

    async def first_sight(self, id: str) -> bool:
        """Whether this request has not had its effect yet."""

    async def record(self, fact: object) -> None:
        """Tell a fact with the commit."""

    async def leaf(self, access: Access, *, subject: str = "") -> Receipt:
        """Add a leaf with the commit; ask for it last. `subject`: the pseudonym, where the id is not known."""


class Book(Protocol):
    """What the ledger needs of the store that it lives in."""

    @property
    def service(self) -> str:
        """The ledger's name."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""

    @property
    def tables(self) -> "KitTables":
        """The kit's tables."""

    @property
    def clock(self) -> Clock:
        """What time it is."""

    @property
    def keyring(self) -> Keyring:
        """Pseudonyms come from here."""

    def prepared(self, statement: Executable, *names: str) -> "Prepared":
        """A statement of the hot path."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """A `Writing` that commits at the end of the block."""

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for reads."""

    def each_alone(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection on which every statement is a transaction of its own (PostgreSQL only)."""


@dataclass(slots=True)
class Added:
    """What a group of entries adds to a tree of `known` leaves and the peaks `before`: its new right edge, inner nodes, and a receipt each."""

    known: int
    before: bytes
    entries: Sequence[Entry]
    frontier: Frontier
    nodes: list[tuple[int, int, bytes]] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)


class Rows:
    """Leaves, nodes, the frontier and heads as rows."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._tables = book.tables
        leaf, node, frontier = self._tables.ledger_leaf, self._tables.ledger_node, self._tables.ledger_frontier
        known = select(frontier.c.size, frontier.c.peaks).where(frontier.c.id == literal_column("1"))
        self._frontier = book.prepared(known)
        self._frontier_locked = book.prepared(known.with_for_update())
        self._move_frontier = book.prepared(
            update(frontier)
            .where(frontier.c.id == literal_column("1"))
            .values(size=bindparam("size"), peaks=bindparam("peaks")),
            "size",
            "peaks",
        )
        self._select = select(leaf.c.index, leaf.c.body, leaf.c.leaf_hash)
        self._add_leaf = book.prepared(insert(leaf), "index", "body", "leaf_hash", "subject", "case_id")
        self._add_node = book.prepared(insert(node), "level", "position", "hash")
        self._move = book.prepared(
            text(_MOVE),
            *("size", "peaks", "known", "before"),
            *("bodies", "hashes", "subjects", "cases"),
            *("levels", "positions", "nodes"),
        )

    async def append(self, connection: AsyncConnection, entries: Sequence[Entry]) -> list[Receipt]:
        """Give the entries their places at the end of the tree; the frontier is locked until the transaction ends."""
        added = self.after(await self.frontier(connection, lock=True), entries)
        if self._book.dialect == "postgresql":
            moved, _ = await self.move(connection, added)
            assert moved, "The frontier is locked."
            return added.receipts
        size = added.known
        await self._add_leaf.many(
            connection,
            [(size + at, one.body, one.leaf_hash, one.subject, one.case_id) for at, one in enumerate(entries)],
        )
        await self._add_node.many(connection, added.nodes)
        await self._move_frontier.one(connection, added.frontier.size, b"".join(added.frontier.peaks))
        return added.receipts

    def after(self, known: Frontier, entries: Sequence[Entry]) -> Added:
        """Work out what the entries add to the tree whose right edge is `known`."""
        frontier = Frontier(known.size, list(known.peaks))
        added = Added(known.size, b"".join(known.peaks), entries, frontier)
        for entry in entries:
            added.receipts.append(Receipt(self._book.service, frontier.size, entry.leaf_hash, entry.blinding))
            added.nodes += frontier.add(entry.leaf_hash)
        return added

    async def move(self, connection: AsyncConnection, added: Added) -> tuple[bool, Frontier]:
        """Write it if the tree still ends where it did (PostgreSQL only); say whether, and the right edge known now."""
        entries, nodes, frontier = added.entries, added.nodes, added.frontier
        result = await self._move.one(
            connection,
            frontier.size,
            b"".join(frontier.peaks),
            added.known,
            added.before,
            [one.body for one in entries],
            [one.leaf_hash for one in entries],
            [one.subject for one in entries],
            [one.case_id for one in entries],
            [node[0] for node in nodes],
            [node[1] for node in nodes],
            [node[2] for node in nodes],
        )
        found: Any = result.one()
        moved, size, peaks = found
        return moved, _frontier((size, peaks))

    async def frontier(self, connection: AsyncConnection, *, lock: bool = False) -> Frontier:
        """The tree's right edge; locked, it is ours until the transaction ends. The schema comes with the empty tree's."""
        query = self._frontier_locked if lock else self._frontier
        return _frontier((await query.one(connection)).one())

    async def leaves(self, connection: AsyncConnection, indexes: Sequence[int]) -> list[Leaf]:
        """The leaves at these indexes that are durable."""
        leaf = self._tables.ledger_leaf
        query = self._select.where(leaf.c.index.in_(indexes)).order_by(leaf.c.index)
        return [self._leaf(row) for row in await connection.execute(query)]

    async def leaves_of(
        self, connection: AsyncConnection, subjects: Sequence[str], *, before: int | None, limit: int
    ) -> list[Leaf]:
        """The newest leaves about a person, by all their pseudonyms, below `before`."""
        leaf = self._tables.ledger_leaf
        query = self._select.where(leaf.c.subject.in_(subjects))
        if before is not None:
            query = query.where(leaf.c.index < before)
        query = query.order_by(leaf.c.index.desc()).limit(limit)
        return [self._leaf(row) for row in await connection.execute(query)]

    async def count_of(self, connection: AsyncConnection, subjects: Sequence[str]) -> int:
        """How many leaves there are about a person."""
        leaf = self._tables.ledger_leaf
        query = select(func.count()).select_from(leaf).where(leaf.c.subject.in_(subjects))
        return int((await connection.execute(query)).scalar_one())

    async def subject_of(self, connection: AsyncConnection, index: int) -> str | None:
        """The pseudonym that a leaf is about, None where there is no such leaf."""
        leaf = self._tables.ledger_leaf
        found: str | None = (
            await connection.execute(select(leaf.c.subject).where(leaf.c.index == index))
        ).scalar_one_or_none()
        return found

    async def leaves_from(self, connection: AsyncConnection, index: int, limit: int, case_id: str) -> list[Leaf]:
        """Leaves from `index` upwards, of one case if it is given."""
        leaf = self._tables.ledger_leaf
        query = self._select.where(leaf.c.index >= index)
        if case_id:
            query = query.where(leaf.c.case_id == case_id)
        query = query.order_by(leaf.c.index).limit(limit)
        return [self._leaf(row) for row in await connection.execute(query)]

    async def leaves_below(
        self, connection: AsyncConnection, index: int, limit: int, *, case_id: str, least: int = 0
    ) -> list[Leaf]:
        """Leaves below `index`, newest first, of one case if it is given, down to `least`."""
        leaf = self._tables.ledger_leaf
        query = self._select.where(leaf.c.index < index, leaf.c.index >= least)
        if case_id:
            query = query.where(leaf.c.case_id == case_id)
        query = query.order_by(leaf.c.index.desc()).limit(limit)
        return [self._leaf(row) for row in await connection.execute(query)]

    async def archived_below(self, connection: AsyncConnection) -> int:
        """Below this index bodies are in archive segments alone; archiving goes from the left without gaps."""
        segment = self._tables.ledger_segment
        found = (await connection.execute(select(func.max(segment.c.to_index)))).scalar_one()
        return int(found or 0)

    async def paths(self, connection: AsyncConnection, proofs: Sequence[Sequence[Span]]) -> list[tuple[bytes, ...]]:
        """The proofs over these spans; what they share is read once."""
        wanted = {node for spans in proofs for span in spans for node in merkle.nodes_of(span)}
        hashes = await self._hashes(connection, wanted)
        return [tuple(merkle.path_of(spans, hashes.__getitem__)) for spans in proofs]

    async def node(self, connection: AsyncConnection, node: Node) -> bytes | None:
        """The root of one complete subtree, None where it is not complete."""
        return (await self._hashes(connection, {node})).get(node)

    async def root(self, connection: AsyncConnection, size: int) -> bytes:
        """The root of the tree as it was with `size` leaves."""
        nodes = merkle.nodes_of((0, size))
        hashes = await self._hashes(connection, set(nodes))
        return merkle.fold([hashes[node] for node in nodes])

    async def newest_head(self, connection: AsyncConnection) -> SignedHead | None:
        """The head that covers most."""
        table = self._tables.ledger_head
        found = await self._heads(connection, select(table).order_by(table.c.tree_size.desc()).limit(1))
        return found[0] if found else None

    async def witnessed_head(self, connection: AsyncConnection, index: int) -> SignedHead | None:
        """The newest head that witnesses have signed and that covers leaf `index`."""
        head, said = self._tables.ledger_head, self._tables.ledger_cosignature
        newest = select(func.max(said.c.tree_size)).where(said.c.tree_size > index).scalar_subquery()
        found = await self._heads(connection, select(head).where(head.c.tree_size == newest))
        return found[0] if found else None

    async def heads_from(self, connection: AsyncConnection, size: int, limit: int) -> list[SignedHead]:
        """Heads of at least `size` leaves, in order."""
        table = self._tables.ledger_head
        query = select(table).where(table.c.tree_size >= size).order_by(table.c.tree_size).limit(limit)
        return await self._heads(connection, query)

    async def head_of(self, connection: AsyncConnection, size: int) -> SignedHead | None:
        """The head of exactly `size` leaves."""
        found = await self.heads_from(connection, size, 1)
        return found[0] if found and found[0].tree_size == size else None

    async def add_head(self, tx: Writing, head: SignedHead) -> None:
        """Keep a head; one of each size."""
        await tx.connection.execute(
            insert(self._tables.ledger_head).values(
                tree_size=head.tree_size, root_hash=head.root_hash, sign_time=head.sign_time, jws=head.jws
            )
        )

    async def _hashes(self, connection: AsyncConnection, wanted: set[Node]) -> dict[Node, bytes]:
        hashes: dict[Node, bytes] = {}
        leaf, node = self._tables.ledger_leaf, self._tables.ledger_node
        indexes = sorted(position for level, position in wanted if level == 0)
        for at in range(0, len(indexes), _CHUNK):
            query = select(leaf.c.index, leaf.c.leaf_hash).where(leaf.c.index.in_(indexes[at : at + _CHUNK]))
            hashes.update({(0, row[0]): row[1] for row in await connection.execute(query)})
        inner = sorted(each for each in wanted if each[0] > 0)
        for at in range(0, len(inner), _CHUNK):
            query = select(node.c.level, node.c.position, node.c.hash).where(
                tuple_(node.c.level, node.c.position).in_(inner[at : at + _CHUNK])
            )
            hashes.update({(row.level, row.position): row.hash for row in await connection.execute(query)})
        return hashes

    def _leaf(self, row: Row[*tuple[Any, ...]]) -> Leaf:
        return Leaf(log=self._book.service, index=row[0], body=row[1], leaf_hash=row[2])

    async def _heads(self, connection: AsyncConnection, query: Select[Any]) -> list[SignedHead]:
        rows = (await connection.execute(query)).all()
        said: dict[int, list[Cosignature]] = defaultdict(list)
        table = self._tables.ledger_cosignature
        sizes = [row.tree_size for row in rows]
        for at in range(0, len(sizes), _CHUNK):
            wanted = select(table).where(table.c.tree_size.in_(sizes[at : at + _CHUNK])).order_by(table.c.witness)
            for row in await connection.execute(wanted):
                said[row.tree_size].append(Cosignature(row.witness, row.jws))
        return [
            SignedHead(
                log=self._book.service,
                tree_size=row.tree_size,
                root_hash=row.root_hash,
                sign_time=row.sign_time,
                jws=row.jws,
                cosignatures=tuple(said[row.tree_size]),
            )
            for row in rows
        ]


def _frontier(row: Any) -> Frontier:
    size, peaks = row
    return Frontier(size, [peaks[at : at + HASH_SIZE] for at in range(0, len(peaks), HASH_SIZE)])
