# SPDX-License-Identifier: Apache-2.0
"""The secret behind persons' names and digests: sealed in the service's own store, and punctured there when a key is erased."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from tongban.ledger.v1 import ledger_events_pb2

from services.kit.envelope import Outgoing
from services.kit.ledger.access import Access, Receipt
from services.kit.ledger.persons import Persons, Punctured
from services.kit.ledger.rows import Book, Writing

REFRESH_SECONDS: Final = 30.0
"""How long another process may still know a key that was erased."""
_ROOT: Final = ""


class Keys:
    """What this process knows of the secret; `persons` is the present state."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._table = book.tables.ledger_key
        self._index = bytes.fromhex(book.keyring.pseudonym("ledger.key"))
        self._version = -1
        self.persons = Persons(Punctured({}), self._index)

    def names(self, subject_id: str) -> tuple[str, str]:
        """What a person is called in leaves: now, and in those from before keys could be erased."""
        return self.persons.of(subject_id).name, self._book.keyring.pseudonym(subject_id)

    async def load(self) -> None:
        """Read the secret; the first process of all makes it."""
        if not await self.refresh():
            async with self._book.transaction() as tx:
                for prefix, node in Punctured.fresh().nodes.items():
                    sealed = self._sealed(prefix, node)
                    insert = tx.insert(self._table).values(prefix=prefix, sealed=sealed, version=0)
                    await tx.connection.execute(insert.on_conflict_do_nothing())
            await self.refresh()

    async def refresh(self) -> bool:
        """Forget what was erased meanwhile, maybe by another process; say whether there is a secret at all."""
        async with self._book.reading() as connection:
            version = await self._found(connection)
            if version is not None and version != self._version:
                self._take(await self._nodes(connection), version)
        return version is not None

    async def erase(self, tx: Writing, access: Access) -> tuple[Receipt, "Erased"]:
        """Erase the key of whom `access` is about, whose leaf is the last under the old name; `after` the commit, say so to `done`."""
        query = select(self._table.c.version).where(self._table.c.prefix == _ROOT).with_for_update()
        version: int = (await tx.connection.execute(query)).scalar_one() + 1
        nodes = await self._nodes(tx.connection)
        changed = Punctured(nodes).without(self.persons.way(access.subject_id))
        for prefix, node in {_ROOT: nodes[_ROOT], **changed}.items():
            sealed = self._sealed(prefix, node)
            row = tx.insert(self._table).values(prefix=prefix, sealed=sealed, version=version)
            upsert = row.on_conflict_do_update(index_elements=["prefix"], set_={"sealed": sealed, "version": version})
            await tx.connection.execute(upsert)
        fact = ledger_events_pb2.PersonKeyErased(erasures=version)
        await tx.record(Outgoing(message=fact, key=self._book.service))
        return await tx.leaf(access), Erased(self, {**nodes, **changed}, version)

    def take(self, nodes: Mapping[str, bytes], version: int) -> None:
        """Go on with this state of the secret."""
        if version > self._version:
            self._take(nodes, version)

    def _take(self, nodes: Mapping[str, bytes], version: int) -> None:
        self.persons, self._version = Persons(Punctured(nodes), self._index), version

    async def _found(self, connection: AsyncConnection) -> int | None:
        query = select(self._table.c.version).where(self._table.c.prefix == _ROOT)
        version: int | None = (await connection.execute(query)).scalar_one_or_none()
        return version

    async def _nodes(self, connection: AsyncConnection) -> dict[str, bytes]:
        rows = await connection.execute(select(self._table.c.prefix, self._table.c.sealed))
        return {row.prefix: self._book.keyring.open_sealed(row.sealed, _context(row.prefix)) for row in rows}

    def _sealed(self, prefix: str, node: bytes) -> bytes:
        return self._book.keyring.seal(node, _context(prefix))


class Erased:
    """An erasure that waits for its commit."""

    def __init__(self, keys: Keys, nodes: Mapping[str, bytes], version: int) -> None:
        self._keys = keys
        self._nodes = nodes
        self._version = version

    def done(self) -> None:
        """It is committed: forget the key here too."""
        self._keys.take(self._nodes, self._version)


def _context(prefix: str) -> str:
    return f"ledger.key.{prefix}"
