# SPDX-License-Identifier: Apache-2.0
"""Rows of changes to the catalogue, and of the notices that holders of grants have in their inbox."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Index, String, Table, and_, func, or_, select, tuple_, update

from services.exchange.domain.change import Change, ChangeState, Notice, NoticeState
from services.exchange.domain.grant import Grant
from services.exchange.domain.refusals import ChangeNotFound, ChangeOpenAlready, NoticeNotFound
from services.exchange.domain.settings import ConnectorSettings
from services.exchange.store import rows
from services.exchange.store.grants import grant_from, quota_count, sharing_grant
from services.exchange.store.rows import Row
from services.exchange.store.tables import metadata
from services.kit.paging import Page, encode_token, moment_after
from services.kit.store import Json, Store, Tx, UtcDateTime

resource_change = Table(
    "resource_change",
    metadata,
    Column("change_id", String(36), primary_key=True),
    Column("open_code", String(64), nullable=True, unique=True),  # the code while it is open: one at a time
    Column("code", String(64), nullable=False),
    Column("provider", String(18), nullable=False),
    Column("body", Json, nullable=False),
    Column("base_revision", BigInteger, nullable=False),
    Column("note", String(500), nullable=False),
    Column("proposer", String(120), nullable=False),
    Column("submit_time", UtcDateTime, nullable=False),
    Column("state", String(20), nullable=False),
    Column("review_note", String(500), nullable=False),
    Column("urgent_basis", String(500), nullable=False),
    Column("effect_time", UtcDateTime, nullable=True),
    Index("resource_change_by_time", "submit_time", "change_id"),
    Index("resource_change_by_provider", "provider", "submit_time", "change_id"),
    Index("resource_change_by_state", "state", "submit_time", "change_id"),
)

change_notice = Table(
    "change_notice",
    metadata,
    Column("agency", String(18), primary_key=True),
    Column("change_id", String(36), primary_key=True),
    Column("resource", String(64), nullable=False),
    Column("to_revision", BigInteger, nullable=False),
    Column("fields", Json, nullable=False),
    Column("verify_fields", Json, nullable=False),
    Column("questions", Json, nullable=False),
    Column("state", String(20), nullable=False),
    Column("urgent_basis", String(500), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("effect_time", UtcDateTime, nullable=False),
    Column("acknowledge_time", UtcDateTime, nullable=True),
    Index("change_notice_by_time", "agency", "create_time", "change_id"),
    Index("change_notice_by_change", "change_id"),
)

_SAID: Final = (
    "change_id",
    "base_revision",
    "note",
    "proposer",
    "submit_time",
    "review_note",
    "urgent_basis",
    "effect_time",
)
_TOLD: Final = (
    "change_id",
    "agency",
    "resource",
    "to_revision",
    "urgent_basis",
    "create_time",
    "effect_time",
    "acknowledge_time",
)
_LOST: Final = ("fields", "verify_fields", "questions")
NOTICE_ROWS_MAX: Final = 500


class ChangeRows(Tx):
    """What a transaction reads and writes of changes and notices."""

    async def add_change(self, change: Change) -> None:
        """Insert. Raises ChangeOpenAlready where the resource has an open one."""
        row = {**_change_row(change), "code": change.code, "provider": change.resource.provider}
        statement = self.insert(resource_change).values(row).on_conflict_do_nothing(index_elements=["open_code"])
        if (await self.connection.execute(statement)).rowcount == 0:
            raise ChangeOpenAlready(
                "The resource has an open change already.", remedy="Withdraw it, or wait for its end."
            )

    async def change(self, change_id: str) -> Change:
        """Read and lock. Raises ChangeNotFound."""
        query = select(resource_change).where(resource_change.c.change_id == change_id).with_for_update()
        row = (await self.connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise ChangeNotFound("There is no such change.")
        return _change_from(row)

    async def save_change(self, change: Change) -> None:
        """Write where it is now."""
        statement = update(resource_change).where(resource_change.c.change_id == change.change_id)
        await self.connection.execute(statement.values(_change_row(change)))

    async def grants_on(self, code: str, *, after: tuple[datetime, str] | None, limit: int) -> Sequence[Grant]:
        """Give grants on a resource in the order of their making, those that follow `after`."""
        place = tuple_(sharing_grant.c.create_time, sharing_grant.c.grant_id)
        query = select(sharing_grant).where(sharing_grant.c.resource == code, sharing_grant.c.revoke_time.is_(None))
        if after is not None:
            moment = sharing_grant.c.create_time
            query = query.where(
                or_(
                    moment > after[0],
                    and_(moment == after[0], sharing_grant.c.grant_id > after[1]),
                )
            )
        found = await self.connection.execute(query.order_by(*place.clauses).limit(limit))
        return [grant_from(row) for row in found.mappings()]

    async def count_calls(self, calls: Mapping[str, int], day: date) -> None:
        """Add calls of a day, in the order of their grants, so that processes that add at once don't wait for one another in a ring."""
        statement = self.insert(quota_count)
        added = quota_count.c.calls + statement.excluded.calls
        await self.connection.execute(
            statement.on_conflict_do_update(index_elements=["grant_id", "day"], set_={"calls": added}),
            [{"grant_id": grant_id, "day": day, "calls": number} for grant_id, number in sorted(calls.items())],
        )

    async def calls_of(self, grant_ids: Sequence[str], *, since: date) -> int:
        """Count the calls of grants from a day on."""
        query = select(func.sum(quota_count.c.calls)).where(
            quota_count.c.grant_id.in_(grant_ids), quota_count.c.day >= since
        )
        return int(await self.connection.scalar(query) or 0)

    async def save_notices(self, notices: Sequence[Notice]) -> None:
        """Put notices into inboxes; one that is there says what holds now, and asks to be acknowledged again if that is new."""
        for start in range(0, len(notices), NOTICE_ROWS_MAX):
            statement = self.insert(change_notice)
            again = {name: statement.excluded[name] for name in (*_LOST, "state", "effect_time")}
            await self.connection.execute(
                statement.on_conflict_do_update(index_elements=["agency", "change_id"], set_=again),
                [_notice_row(each) for each in notices[start : start + NOTICE_ROWS_MAX]],
            )

    async def cancel_notices(self, change_id: str) -> None:
        """Say in every inbox that the change won't come; whoever had acknowledged it is asked again."""
        await self.connection.execute(
            update(change_notice)
            .where(change_notice.c.change_id == change_id)
            .values(state=NoticeState.CANCELLED.value, acknowledge_time=None)
        )

    async def acknowledge_notice(self, agency: str, change_id: str, *, now: datetime) -> Notice:
        """Write that an agency has taken note; the first time counts. Raises NoticeNotFound."""
        its = (change_notice.c.agency == agency) & (change_notice.c.change_id == change_id)
        await self.connection.execute(
            update(change_notice).where(its, change_notice.c.acknowledge_time.is_(None)).values(acknowledge_time=now)
        )
        row = (await self.connection.execute(select(change_notice).where(its))).mappings().one_or_none()
        if row is None:
            raise NoticeNotFound("There is no such notice in the agency's inbox.")
        return _notice_from(row)


class ChangeReads(Store[Any]):
    """What is read of changes and notices outside a transaction."""

    async def read_change(self, change_id: str) -> Change:
        """Read one. Raises ChangeNotFound."""
        async with self.reading() as connection:
            found = await connection.execute(select(resource_change).where(resource_change.c.change_id == change_id))
        row = found.mappings().one_or_none()
        if row is None:
            raise ChangeNotFound("There is no such change.")
        return _change_from(row)

    async def list_changes(
        self, *, provider: str, state: ChangeState | None, page_size: int, page_token: str
    ) -> Page[Change]:
        """Give changes, newest first; empty does not narrow."""
        query = select(resource_change)
        if provider:
            query = query.where(resource_change.c.provider == provider)
        if state is not None:
            query = query.where(resource_change.c.state == state.value)
        found, token = await self._newest(query, resource_change.c.submit_time, page_size, page_token)
        return Page(tuple(_change_from(row) for row in found), token)

    async def list_notices(self, agency: str, *, open_only: bool, page_size: int, page_token: str) -> Page[Notice]:
        """Give an agency's notices, newest first."""
        query = select(change_notice).where(change_notice.c.agency == agency)
        if open_only:
            query = query.where(change_notice.c.acknowledge_time.is_(None))
        found, token = await self._newest(query, change_notice.c.create_time, page_size, page_token)
        return Page(tuple(_notice_from(row) for row in found), token)

    async def _newest(self, query: Any, moment: Any, page_size: int, page_token: str) -> tuple[Sequence[Row], str]:
        change_id = moment.table.c.change_id
        if page_token:
            last, id = moment_after(page_token)
            query = query.where(or_(moment < last, and_(moment == last, change_id < id)))
        async with self.reading() as connection:
            ordered = query.order_by(moment.desc(), change_id.desc()).limit(page_size + 1)
            found = (await connection.execute(ordered)).mappings().all()
        page = found[:page_size]
        if len(found) <= page_size:
            return page, ""
        return page, encode_token(time=page[-1][moment.name].isoformat(), id=page[-1]["change_id"])


def _change_row(change: Change) -> dict[str, Any]:
    return {
        **{name: getattr(change, name) for name in _SAID},
        "state": change.state.value,
        "open_code": change.code if change.open else None,
        "body": rows.described_row(change.resource),
    }


def _change_from(row: Row) -> Change:
    return Change(
        resource=rows.described_from(row["body"], ConnectorSettings()),
        state=ChangeState(row["state"]),
        **{name: row[name] for name in _SAID},
    )


def _notice_row(notice: Notice) -> dict[str, Any]:
    return {
        **{name: getattr(notice, name) for name in _TOLD},
        **{name: list(getattr(notice, name)) for name in _LOST},
        "state": notice.state.value,
    }


def _notice_from(row: Row) -> Notice:
    return Notice(
        fields=tuple(row["fields"]),
        verify_fields=tuple(row["verify_fields"]),
        questions=tuple(row["questions"]),
        state=NoticeState(row["state"]),
        **{name: row[name] for name in _TOLD},
    )
