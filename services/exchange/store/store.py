# SPDX-License-Identifier: Apache-2.0
"""The exchange's store: what is read outside a change."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select, tuple_

from services.exchange.domain.grant import Grant
from services.exchange.domain.inquiry import KeptAnswer
from services.exchange.domain.refusals import AnswerNotFound, ResourceNotFound
from services.exchange.domain.resource import Resource
from services.exchange.service.ports import Changes
from services.exchange.store import rows
from services.exchange.store.tables import kept_answer, metadata, resource, sharing_grant
from services.exchange.store.tx import ExchangeTx
from services.kit.errors import PageTokenInvalid
from services.kit.paging import Page, decode_token, encode_token
from services.kit.store import Store

_NEWEST_FIRST = (sharing_grant.c.create_time.desc(), sharing_grant.c.grant_id.desc())


class ExchangeStore(Store[ExchangeTx]):
    """One database: catalogue, grants, counts, answers, and the kit's outbox, guard and ledger."""

    service = "exchange"
    metadata = metadata
    tx_type = ExchangeTx

    def digest(self, payload: bytes) -> str:
        """Give the keyed digest of an answer."""
        return self.keyring.digest(payload)

    def subject_mark(self, kind: str, value: str) -> str:
        """Give the keyed mark of a number or code."""
        return f"{kind}:{self.keyring.blind_index(value, f'exchange.subject.{kind}').hex()}"

    async def read_resource(self, code: str) -> Resource:
        """Read a resource. Raises ResourceNotFound."""
        async with self.reading() as connection:
            found = await connection.execute(select(resource).where(resource.c.code == code))
        row = found.mappings().one_or_none()
        if row is None:
            raise ResourceNotFound("There is no such resource in the catalogue.")
        return rows.resource_from(row, self.keyring)

    async def list_resources(self, *, page_size: int, page_token: str) -> Page[Resource]:
        """Give resources by code."""
        query = select(resource).order_by(resource.c.code).limit(page_size + 1)
        if after := decode_token(page_token).get("code"):
            query = query.where(resource.c.code > str(after))
        async with self.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        page = tuple(rows.resource_from(row, self.keyring) for row in found[:page_size])
        return Page(page, encode_token(code=page[-1].code) if len(found) > page_size else "")

    async def list_grants(self, *, grantee: str, resource: str, page_size: int, page_token: str) -> Page[Grant]:
        """Give grants, newest first."""
        query = select(sharing_grant).order_by(*_NEWEST_FIRST).limit(page_size + 1)
        if grantee:
            query = query.where(sharing_grant.c.grantee == grantee)
        if resource:
            query = query.where(sharing_grant.c.resource == resource)
        if page_token:
            query = query.where(_older(page_token))
        async with self.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        page = tuple(rows.grant_from(row) for row in found[:page_size])
        if len(found) <= page_size:
            return Page(page)
        return Page(page, encode_token(time=page[-1].create_time.isoformat(), id=page[-1].grant_id))

    async def grants_of(self, grantee: str, resource: str) -> Sequence[Grant]:
        """Give a pair's grants that were not revoked, newest first."""
        query = select(sharing_grant).where(
            sharing_grant.c.grantee == grantee,
            sharing_grant.c.resource == resource,
            sharing_grant.c.revoke_time.is_(None),
        )
        async with self.reading() as connection:
            found = await connection.execute(query.order_by(*_NEWEST_FIRST))
        return tuple(rows.grant_from(row) for row in found.mappings())

    async def changed_since(self, moment: datetime | None) -> Changes:
        """Give what was written since; a pair that changed comes with all its grants in force, be it none."""
        resources, grants = select(resource), select(sharing_grant).order_by(*_NEWEST_FIRST)
        if moment is not None:
            # Row values, not EXISTS: both databases then come from the few that changed, not through all grants.
            changed = sharing_grant.alias("changed")
            pairs = select(changed.c.grantee, changed.c.resource).where(changed.c.update_time >= moment)
            resources = resources.where(resource.c.update_time >= moment)
            grants = grants.where(tuple_(sharing_grant.c.grantee, sharing_grant.c.resource).in_(pairs))
        async with self.reading() as connection:
            # Grants first: whatever they name is then among the resources.
            granted = (await connection.execute(grants)).mappings().all()
            found = (await connection.execute(resources)).mappings().all()
        in_force: dict[tuple[str, str], list[Grant]] = defaultdict(list)
        for row in granted:
            pair = in_force[row["grantee"], row["resource"]]
            if row["revoke_time"] is None:
                pair.append(rows.grant_from(row))
        return Changes(tuple(rows.resource_from(row, self.keyring) for row in found), in_force)

    async def read_answer(self, answer_id: str, *, now: datetime) -> KeptAnswer:
        """Open a kept answer. Raises AnswerNotFound."""
        query = select(kept_answer).where(kept_answer.c.answer_id == answer_id, kept_answer.c.expire_time > now)
        async with self.reading() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise AnswerNotFound("There is no such answer, or it is no longer kept.")
        return rows.answer_from(row, self.keyring)


def _older(page_token: str) -> ColumnElement[bool]:
    token = decode_token(page_token)
    try:
        moment = datetime.fromisoformat(str(token["time"]))
        last = str(token["id"])
    except (KeyError, ValueError) as broken:
        raise PageTokenInvalid("The page token is not one of ours.") from broken
    if moment.tzinfo is None:
        raise PageTokenInvalid("The page token is not one of ours.")
    return or_(
        sharing_grant.c.create_time < moment,
        and_(sharing_grant.c.create_time == moment, sharing_grant.c.grant_id < last),
    )
