# SPDX-License-Identifier: Apache-2.0
"""Rows of applications: what is searched for in columns, the rest in one body."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Table,
    and_,
    case,
    func,
    or_,
    select,
    update,
)

from services.exchange.domain.applications import Act, Application, Extension, State, Step
from services.exchange.domain.refusals import ApplicationNotFound
from services.exchange.domain.scope import Scope
from services.exchange.service.applications import Lateness
from services.exchange.store.rows import Row
from services.exchange.store.tables import metadata
from services.exchange.store.terms import terms_from, terms_plain
from services.kit.errors import Violation
from services.kit.paging import Page, encode_token, moment_after, number_after, text_after
from services.kit.store import Json, Store, Tx, UtcDateTime

application = Table(
    "application",
    metadata,
    Column("application_id", String(36), primary_key=True),
    Column("resource", String(64), ForeignKey("resource.code"), nullable=False),
    Column("requester", String(18), nullable=False),
    Column("provider", String(18), nullable=False),
    Column("state", String(20), nullable=False),
    Column("overdue", Boolean, nullable=False),
    Column("body", Json, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("accept_time", UtcDateTime, nullable=True),
    Column("decide_time", UtcDateTime, nullable=True),
    Index("application_by_requester", "requester", "create_time", "application_id"),
    Index("application_by_provider", "provider", "create_time", "application_id"),
    Index("application_by_time", "create_time", "application_id"),
    Index("application_by_acceptance", "accept_time"),
)
_columns = application.c


class ApplicationRows(Tx):
    """What a transaction reads and writes of applications."""

    async def application(self, application_id: str) -> Application:
        """Read and lock. Raises ApplicationNotFound."""
        asked = select(application).where(_columns.application_id == application_id).with_for_update()
        row = (await self.connection.execute(asked)).mappings().one_or_none()
        if row is None:
            raise ApplicationNotFound("There is no such application.")
        return _from(row)

    async def add_application(self, new: Application) -> None:
        """Insert."""
        await self.connection.execute(self.insert(application).values(_row(new)))

    async def save_application(self, changed: Application) -> None:
        """Write as it stands."""
        statement = update(application).where(_columns.application_id == changed.application_id)
        await self.connection.execute(statement.values(_row(changed)))


class ApplicationReads(Store[Any]):
    """What is read of applications outside a transaction."""

    async def read_application(self, application_id: str) -> Application:
        """Read. Raises ApplicationNotFound."""
        async with self.reading() as connection:
            found = await connection.execute(select(application).where(_columns.application_id == application_id))
        row = found.mappings().one_or_none()
        if row is None:
            raise ApplicationNotFound("There is no such application.")
        return _from(row)

    async def list_applications(
        self, *, requester: str, provider: str, state: State | None, page_size: int, page_token: str
    ) -> Page[Application]:
        """Give applications, newest first; what is empty does not narrow."""
        asked = select(application).order_by(_columns.create_time.desc(), _columns.application_id.desc())
        if requester:
            asked = asked.where(_columns.requester == requester)
        if provider:
            asked = asked.where(_columns.provider == provider)
        if state is not None:
            asked = asked.where(_columns.state == state.value)
        if page_token:
            asked = asked.where(_older(page_token))
        async with self.reading() as connection:
            found = (await connection.execute(asked.limit(page_size + 1))).mappings().all()
        page = tuple(_from(row) for row in found[:page_size])
        if len(found) <= page_size:
            return Page(page)
        last = found[page_size - 1]
        return Page(page, encode_token(time=last["create_time"].isoformat(), id=last["application_id"]))

    async def lateness(self, *, since: datetime, page_size: int, page_token: str) -> Page[Lateness]:
        """Give providers by how often they were late with what was accepted since, the latest first."""
        late = func.sum(case((_columns.overdue, 1), else_=0))
        decided = func.count(_columns.decide_time)
        waiting = func.sum(case((_columns.overdue & (_columns.state == State.DECIDING.value), 1), else_=0))
        counted = (
            select(
                _columns.provider,
                func.count().label("accepted"),
                decided.label("decided"),
                late.label("late"),
                waiting.label("waiting"),
            )
            .where(_columns.accept_time >= since)
            .group_by(_columns.provider)
            .subquery()
        )
        asked = select(counted).order_by(counted.c.late.desc(), counted.c.provider).limit(page_size + 1)
        if (count := number_after(page_token, "late")) is not None:
            provider = text_after(page_token, "provider")
            asked = asked.where(
                or_(counted.c.late < count, and_(counted.c.late == count, counted.c.provider > provider))
            )
        async with self.reading() as connection:
            rows = (await connection.execute(asked)).all()
        page = tuple(
            Lateness(row.provider, row.accepted, row.decided, int(row.late), int(row.waiting))
            for row in rows[:page_size]
        )
        if len(rows) <= page_size:
            return Page(page)
        return Page(page, encode_token(late=page[-1].late, provider=page[-1].provider))


def _older(page_token: str) -> ColumnElement[bool]:
    moment, last = moment_after(page_token)
    return or_(_columns.create_time < moment, and_(_columns.create_time == moment, _columns.application_id < last))


def _row(each: Application) -> dict[str, Any]:
    body = {
        "scene": each.scene,
        "wanted": _scope_plain(each.wanted),
        "given": None if each.given is None else _scope_plain(each.given),
        "missing": [[fault.field, fault.description] for fault in each.missing],
        "handed_back": each.handed_back,
        "extension": each.extension.value,
        "reason": each.reason,
        "final": each.final,
        "history": [[step.act.value, step.by, step.at.isoformat(), step.words] for step in each.history],
    }
    return {
        "application_id": each.application_id,
        "resource": each.resource,
        "requester": each.requester,
        "provider": each.provider,
        "state": each.state.value,
        "overdue": each.overdue,
        "body": body,
        "create_time": each.history[0].at,
        "accept_time": each.accept_time,
        "decide_time": each.decide_time,
    }


def _from(row: Row) -> Application:
    body = row["body"]
    return Application(
        application_id=row["application_id"],
        resource=row["resource"],
        requester=row["requester"],
        provider=row["provider"],
        scene=body["scene"],
        wanted=_scope_from(body["wanted"]),
        state=State(row["state"]),
        history=tuple(Step(Act(act), by, datetime.fromisoformat(at), words) for act, by, at, words in body["history"]),
        missing=tuple(Violation(*each) for each in body["missing"]),
        handed_back=body["handed_back"],
        extension=Extension(body["extension"]),
        overdue=row["overdue"],
        reason=body["reason"],
        given=None if body["given"] is None else _scope_from(body["given"]),
        final=body["final"],
        accept_time=row["accept_time"],
        decide_time=row["decide_time"],
    )


def _scope_plain(scope: Scope) -> dict[str, Any]:
    return {
        "basis": scope.basis,
        "purposes": list(scope.purposes),
        "fields": list(scope.fields),
        "verify_fields": list(scope.verify_fields),
        "expire_time": None if scope.expire_time is None else scope.expire_time.isoformat(),
        "daily_quota": scope.daily_quota,
        "terms": terms_plain(scope.terms),
    }


def _scope_from(plain: dict[str, Any]) -> Scope:
    ends = plain["expire_time"]
    return Scope(
        basis=plain["basis"],
        purposes=tuple(plain["purposes"]),
        fields=tuple(plain["fields"]),
        verify_fields=tuple(plain["verify_fields"]),
        expire_time=None if ends is None else datetime.fromisoformat(ends),
        daily_quota=plain["daily_quota"],
        terms=terms_from(plain["terms"]),
    )
