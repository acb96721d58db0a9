# SPDX-License-Identifier: Apache-2.0
"""Rows of resources: as they are, as they were, the words that find them, and how good they were found to be."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    Integer,
    SmallInteger,
    String,
    Table,
    bindparam,
    delete,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy import exc as errors

from services.exchange.domain.metadata import QualityMeasure
from services.exchange.domain.refusals import ResourceNotFound
from services.exchange.domain.resource import Resource
from services.exchange.domain.settings import ConnectorSettings
from services.exchange.domain.version import NOBODY, By, Version
from services.exchange.domain.words import INDEX_VERSION, index_terms
from services.exchange.store import rows
from services.exchange.store.rows import Row
from services.exchange.store.tables import metadata, resource
from services.kit.errors import VersionConflict
from services.kit.paging import Page, encode_token, number_after, text_after
from services.kit.store import Json, Store, Tx, UtcDateTime

resource_version = Table(
    "resource_version",
    metadata,
    Column("code", String(64), primary_key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("provider", String(18), nullable=False),
    Column("sharing_class", String(20), nullable=False),
    Column("sharing_reason", String(500), nullable=False),
    Column("fields", Json, nullable=False),
    Column("adapter", String(20), nullable=False),
    Column("timeout_ms", Integer, nullable=False),
    Column("region", String(6), nullable=False),
    Column("metadata", Json, nullable=False),
    Column("retired", Boolean, nullable=False),
    Column("changed_by", String(120), nullable=False),
    Column("change_id", String(36), nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("end_time", UtcDateTime, nullable=False),
)
"""Earlier versions; the one that holds is a row of `resource`. No adapter settings: an old password helps nobody."""

resource_term = Table(
    "resource_term",
    metadata,
    Column("term", String(120), primary_key=True),
    Column("place", SmallInteger, primary_key=True, autoincrement=False),
    Column("code", String(64), primary_key=True),
    sqlite_with_rowid=False,
)
"""The inverted table: who has a word, best place first. One index carries the walk and the probe."""

quality_measure = Table(
    "quality_measure",
    metadata,
    Column("code", String(64), primary_key=True),
    Column("measure_date", Date, primary_key=True),
    Column("completeness", Float, nullable=False),
    Column("timeliness", Float, nullable=False),
    Column("accuracy", Float, nullable=False),
    Column("sample", BigInteger, nullable=False),
    Column("measured_by", String(120), nullable=False),
)

_OF_CODE: Final = select(resource).where(resource.c.code == bindparam("of_code"))
"""Built once: a call that asks for something new waits for it."""
_HISTORY: Final = [column.name for column in resource_version.c if column.name != "end_time"]
QUALITY_MAX: Final = 12
TERM_ROWS_MAX: Final = 5_000
TERM_COLUMNS: Final = ("term", "place", "code")
Term = tuple[str, int, str]


class CatalogueRows(Tx):
    """What a transaction reads and writes of resources."""

    async def find_resource(self, code: str) -> Resource | None:
        """Read and lock, None where there is none."""
        return (await self.find_resources([code])).get(code)

    async def find_resources(self, codes: Sequence[str]) -> Mapping[str, Resource]:
        """Read and lock those that there are."""
        query = select(resource).where(resource.c.code.in_(codes)).order_by(resource.c.code).with_for_update()
        found = await self.connection.execute(query)
        return {row["code"]: rows.resource_from(row, self.store.keyring) for row in found.mappings()}

    async def resource(self, code: str) -> Resource:
        """Read and lock. Raises ResourceNotFound."""
        found = await self.find_resource(code)
        if found is None:
            raise ResourceNotFound("There is no such resource in the catalogue.")
        return found

    async def save_resource(self, changed: Resource, *, now: datetime, by: By = NOBODY) -> None:
        """Insert or replace; what was there before becomes an earlier version."""
        await self.save_resources([(await self.find_resource(changed.code), changed)], now=now, by=by)

    async def save_resources(
        self, changes: Sequence[tuple[Resource | None, Resource]], *, now: datetime, by: By = NOBODY
    ) -> None:
        """Insert or replace many: each as it was found and as it is to be. Raises VersionConflict."""
        made = [rows.resource_row(after, self.store.keyring, now, by) for before, after in changes if before is None]
        mended = [rows.resource_row(after, self.store.keyring, now, by) for before, after in changes if before]
        if mended:
            await self._keep([row["code"] for row in mended], now)
            values = {name: bindparam(f"new_{name}", type_=resource.c[name].type) for name in mended[0]}
            renamed = [{f"new_{name}": value for name, value in row.items()} for row in mended]
            await self.connection.execute(
                update(resource).where(resource.c.code == bindparam("new_code")).values(values), renamed
            )
        if made:
            try:
                await self.connection.execute(insert(resource), made)
            except errors.IntegrityError as taken:
                raise VersionConflict("Somebody else stored this resource first.") from taken
        await self._index(changes)

    async def reindex(self, *, limit: int) -> int:
        """Write the words of resources that an earlier release stored; give how many there were."""
        query = select(resource).where(resource.c.index_version < INDEX_VERSION).limit(limit)
        found = (await self.connection.execute(query.with_for_update(skip_locked=True))).mappings().all()
        await self._index([(None, rows.resource_from(row, self.store.keyring)) for row in found])
        await self.connection.execute(
            update(resource)
            .where(resource.c.code.in_([row["code"] for row in found]))
            .values(index_version=INDEX_VERSION)
        )
        return len(found)

    async def save_quality(self, code: str, measure: QualityMeasure) -> None:
        """Write what was measured on a day; measured again on it, the later holds."""
        row = {"code": code, **{name: getattr(measure, name) for name in _MEASURED}}
        statement = self.insert(quality_measure).values(row)
        await self.connection.execute(
            statement.on_conflict_do_update(
                index_elements=["code", "measure_date"], set_={name: statement.excluded[name] for name in _MEASURED[1:]}
            )
        )

    async def _keep(self, codes: Sequence[str], now: datetime) -> None:
        columns = [resource.c[name] for name in _HISTORY]
        earlier = select(*columns, literal(now, UtcDateTime)).where(resource.c.code.in_(codes))
        kept = self.insert(resource_version).from_select([*_HISTORY, "end_time"], earlier)
        await self.connection.execute(kept.on_conflict_do_nothing())

    async def _index(self, changes: Iterable[tuple[Resource | None, Resource]]) -> None:
        """Words that are gone go, words that are new come, with the change itself."""
        gone: list[Term] = []
        come: list[Term] = []
        for before, after in changes:
            old = index_terms(before) if before is not None else {}
            new = index_terms(after)
            gone += [(term, int(place), after.code) for term, place in old.items() if new.get(term) is not place]
            come += [(term, int(place), after.code) for term, place in new.items()]
        come.sort()  # In the order of the index: faster than as they fall.
        drop = delete(resource_term).where(*(resource_term.c[name] == bindparam(name) for name in TERM_COLUMNS))
        add = self.insert(resource_term).on_conflict_do_nothing()
        for statement, terms in ((drop, gone), (add, come)):
            prepared = self.store.prepared(statement, *TERM_COLUMNS)
            for start in range(0, len(terms), TERM_ROWS_MAX):
                await prepared.many(self.connection, terms[start : start + TERM_ROWS_MAX])


class CatalogueReads(Store[Any]):
    """What is read of resources outside a transaction."""

    async def read_resource(self, code: str) -> Resource:
        """Read a resource. Raises ResourceNotFound."""
        async with self.reading() as connection:
            found = await connection.execute(_OF_CODE, {"of_code": code})
        return rows.resource_from(_one(found.mappings().one_or_none()), self.keyring)

    async def list_resources(self, *, page_size: int, page_token: str) -> Page[Resource]:
        """Give resources by code."""
        query = select(resource).order_by(resource.c.code).limit(page_size + 1)
        if after := text_after(page_token, "code"):
            query = query.where(resource.c.code > after)
        async with self.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        page = tuple(rows.resource_from(row, self.keyring) for row in found[:page_size])
        return Page(page, encode_token(code=page[-1].code) if len(found) > page_size else "")

    async def read_version(self, code: str, revision: int) -> Version:
        """Read one version, the present one or an earlier. Raises ResourceNotFound."""
        now = select(*(resource.c[name] for name in _HISTORY))
        earlier = select(*(resource_version.c[name] for name in _HISTORY))
        async with self.reading() as connection:
            for query, table in ((now, resource), (earlier, resource_version)):
                found = await connection.execute(query.where(table.c.code == code, table.c.revision == revision))
                if row := found.mappings().one_or_none():
                    return _version(row)
        raise ResourceNotFound("There is no such version of the resource.")

    async def list_versions(self, code: str, *, page_size: int, page_token: str) -> Page[Version]:
        """Give versions, newest first; the first page begins with the present one. Raises ResourceNotFound."""
        below = number_after(page_token, "revision")
        now = select(*(resource.c[name] for name in _HISTORY)).where(resource.c.code == code)
        earlier = select(*(resource_version.c[name] for name in _HISTORY)).where(resource_version.c.code == code)
        if below is not None:
            earlier = earlier.where(resource_version.c.revision < below)
        earlier = earlier.order_by(resource_version.c.revision.desc()).limit(page_size + 1)
        async with self.reading() as connection:
            present = _one((await connection.execute(now)).mappings().one_or_none())
            found = list((await connection.execute(earlier)).mappings())
        versions = [_version(row) for row in ([present, *found] if below is None else found)]
        page = tuple(versions[:page_size])
        more = len(versions) > page_size
        return Page(page, encode_token(revision=page[-1].resource.revision) if more else "")

    async def list_quality(self, code: str) -> Sequence[QualityMeasure]:
        """Give the newest measures, newest first."""
        query = select(quality_measure).where(quality_measure.c.code == code)
        query = query.order_by(quality_measure.c.measure_date.desc()).limit(QUALITY_MAX)
        async with self.reading() as connection:
            found = await connection.execute(query)
        return tuple(QualityMeasure(**{name: row[name] for name in _MEASURED}) for row in found.mappings())


_MEASURED: Final = tuple(column.name for column in quality_measure.c if column.name != "code")


def _one(row: Row | None) -> Row:
    if row is None:
        raise ResourceNotFound("There is no such resource in the catalogue.")
    return row


def _version(row: Row) -> Version:
    described = rows.described_from(row, ConnectorSettings())
    return Version(described, row["update_time"], By(row["changed_by"], row["change_id"]))
