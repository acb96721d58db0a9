# SPDX-License-Identifier: Apache-2.0
"""Requests that people answer. Subject and answer are sealed; the rest says who asked whom, and how it stands."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, Index, LargeBinary, String, Table, and_, delete, func, or_, select

from services.exchange.domain.inquiry import Subject, SubjectKind
from services.exchange.domain.requests import Answer, DataRequest, DataRequestNotFound, RequestState
from services.exchange.store.tables import metadata
from services.kit.crypto import Keyring
from services.kit.paging import Page, encode_token, moment_after
from services.kit.store import Json, Store, Tx, UtcDateTime

data_request = Table(
    "data_request",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("agency", String(18), nullable=False),
    Column("provider", String(18), nullable=False),
    Column("resource", String(64), nullable=False),
    Column("purpose", String(100), nullable=False),
    Column("case_id", String(200), nullable=False),
    Column("fields", Json, nullable=False),
    Column("basis", String(200), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("state", String(20), nullable=False),
    Column("lease_id", String(36), nullable=False),
    Column("lease_time", UtcDateTime, nullable=True),
    Column("due_time", UtcDateTime, nullable=True),
    Column("overdue", Boolean, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Index("data_request_by_agency", "agency", "create_time", "id"),
    Index("data_request_by_provider", "provider", "state", "create_time"),
    Index("data_request_by_expiry", "expire_time"),
)
_PLAIN = tuple(name for name in data_request.c.keys() if name not in {"sealed", "fields", "state"})  # noqa: SIM118


class RequestRows(Tx):
    """What a transaction reads and writes of requests."""

    async def find_request(self, id: str, *, now: datetime) -> DataRequest | None:
        """Read and lock, None where there is none, or it is no longer kept."""
        query = select(data_request).where(data_request.c.id == id, data_request.c.expire_time > now)
        row = (await self.connection.execute(query.with_for_update())).mappings().one_or_none()
        return None if row is None else _request_from(row, self.store.keyring)

    async def request(self, id: str, *, now: datetime, agency: str = "", provider: str = "") -> DataRequest:
        """Read and lock the asker's or the provider's own. Raises DataRequestNotFound."""
        found = await self.find_request(id, now=now)
        if found is None or (found.agency != agency if agency else found.provider != provider):
            raise DataRequestNotFound("There is no such request of this agency, or it is no longer kept.")
        return found

    async def count_open_requests(self, *, agency: str, resource: str) -> int:
        """Count."""
        waiting = and_(
            data_request.c.agency == agency,
            data_request.c.resource == resource,
            data_request.c.state == RequestState.OPEN.value,
        )
        return int(await self.connection.scalar(select(func.count()).select_from(data_request).where(waiting)) or 0)

    async def free_requests(self, *, provider: str, leased_before: datetime, limit: int) -> Sequence[DataRequest]:
        """Give those that nobody works on, oldest first; rows that others have locked are passed over."""
        query = (
            select(data_request)
            .where(
                data_request.c.provider == provider,
                data_request.c.state == RequestState.OPEN.value,
                or_(data_request.c.lease_time.is_(None), data_request.c.lease_time <= leased_before),
            )
            .order_by(data_request.c.create_time, data_request.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        found = (await self.connection.execute(query)).mappings().all()
        return [_request_from(row, self.store.keyring) for row in found]

    async def save_request(self, saved: DataRequest) -> None:
        """Insert or replace."""
        row = _request_row(saved, self.store.keyring)
        insert = self.insert(data_request).values(row)
        changes = {name: insert.excluded[name] for name in row if name != "id"}
        await self.connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=changes))

    async def drop_requests(self, *, before: datetime, limit: int) -> int:
        """Delete at most `limit`; give how many."""
        late = select(data_request.c.id).where(data_request.c.expire_time < before).limit(limit)
        return (await self.connection.execute(delete(data_request).where(data_request.c.id.in_(late)))).rowcount


class RequestReads(Store[Any]):
    """What is read of requests outside a transaction."""

    async def read_request(self, id: str, *, now: datetime, agency: str) -> DataRequest:
        """Read one of the asker or of the provider. Raises DataRequestNotFound."""
        query = select(data_request).where(data_request.c.id == id, data_request.c.expire_time > now)
        async with self.reading() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None or agency not in {row["agency"], row["provider"]}:
            raise DataRequestNotFound("There is no such request of this agency, or it is no longer kept.")
        return _request_from(row, self.keyring)

    async def list_requests(
        self, *, agency: str, state: RequestState | None, now: datetime, page_size: int, page_token: str
    ) -> Page[DataRequest]:
        """Give those that an agency asked, newest first."""
        time, key = data_request.c.create_time, data_request.c.id
        query = select(data_request).where(data_request.c.agency == agency, data_request.c.expire_time > now)
        if state is not None:
            query = query.where(data_request.c.state == state.value)
        if page_token:
            moment, last = moment_after(page_token)
            query = query.where(or_(time < moment, and_(time == moment, key < last)))
        async with self.reading() as connection:
            found = await connection.execute(query.order_by(time.desc(), key.desc()).limit(page_size + 1))
        rows = found.mappings().all()
        page = tuple(_request_from(row, self.keyring) for row in rows[:page_size])
        if len(rows) <= page_size:
            return Page(page)
        return Page(page, encode_token(time=page[-1].create_time.isoformat(), id=page[-1].id))


def _request_row(request: DataRequest, keyring: Keyring) -> dict[str, Any]:
    answer = request.answer
    content = {
        "subject": [request.subject.kind.value, request.subject.value],
        "subject_id": request.subject_id,
        "answer": None if answer is None else [answer.values, answer.grounds],
    }
    sealed = keyring.seal(json.dumps(content, ensure_ascii=False).encode(), f"exchange.request:{request.id}")
    row = {name: getattr(request, name) for name in _PLAIN}
    return {**row, "fields": list(request.fields), "state": request.state.value, "sealed": sealed}


def _request_from(row: Mapping[Any, Any], keyring: Keyring) -> DataRequest:
    content = json.loads(keyring.open_sealed(row["sealed"], f"exchange.request:{row['id']}"))
    kind, value = content["subject"]
    return DataRequest(
        **{name: row[name] for name in _PLAIN},
        fields=tuple(row["fields"]),
        state=RequestState(row["state"]),
        subject=Subject(SubjectKind(kind), value),
        subject_id=content["subject_id"],
        answer=None if content["answer"] is None else Answer(*content["answer"]),
    )
