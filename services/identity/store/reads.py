# SPDX-License-Identifier: Apache-2.0
"""The queries, for transactions and for reads of committed state alike."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.domain.numbers import NumberKind, PersonalNumber
from services.identity.domain.organization import Organization
from services.identity.domain.person import Person
from services.identity.store.rows import Rows, organization_of
from services.identity.store.tables import ORGANIZATION, PERSON, PERSON_NUMBER


def keepable(key: str) -> bool:
    """Whether a row can have this key at all; PostgreSQL has no NUL in its texts and fails on being asked for one."""
    return "\0" not in key


_PRESENT = PERSON_NUMBER.alias("present")
_SOUGHT = PERSON_NUMBER.alias("sought")


def _persons() -> Select[Any]:
    """Persons with the number that is in force."""
    return select(PERSON, _PRESENT.c.kind, _PRESENT.c.number).join(
        _PRESENT, (_PRESENT.c.subject_id == PERSON.c.subject_id) & _PRESENT.c.until_time.is_(None)
    )


async def persons(connection: AsyncConnection, rows: Rows, subject_ids: Collection[str]) -> dict[str, Person]:
    """Those on record, by subject id."""
    possible = [subject_id for subject_id in subject_ids if keepable(subject_id)]
    if not possible:
        return {}
    found = await connection.execute(_persons().where(PERSON.c.subject_id.in_(possible)))
    return {row.subject_id: rows.person(row) for row in found}


async def persons_by_number(
    connection: AsyncConnection, rows: Rows, numbers: Collection[PersonalNumber]
) -> dict[tuple[NumberKind, str], Person]:
    """Those on record, by the number sought, present or former."""
    sought = {(number.kind.value, rows.number_index(number)): number for number in numbers}
    answer: dict[tuple[NumberKind, str], Person] = {}
    for kind in {number.kind.value for number in numbers}:
        query = (
            _persons()
            .add_columns(_SOUGHT.c.number_index)
            .join(_SOUGHT, _SOUGHT.c.subject_id == PERSON.c.subject_id)
            .where(_SOUGHT.c.kind == kind, _SOUGHT.c.number_index.in_([index for of, index in sought if of == kind]))
        )
        for row in await connection.execute(query):
            number = sought[kind, bytes(row.number_index)]
            answer[number.kind, number.value] = rows.person(row)
    return answer


async def organizations(connection: AsyncConnection, usccs: Collection[str]) -> dict[str, Organization]:
    """Those on record, by code."""
    found = await connection.execute(select(ORGANIZATION).where(ORGANIZATION.c.uscc.in_(usccs)))
    return {row.uscc: organization_of(row) for row in found}
