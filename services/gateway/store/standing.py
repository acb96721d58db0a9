# SPDX-License-Identifier: Apache-2.0
"""What a resident has under way, counted off the cases themselves: a count of its own could come apart from them."""

from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.domain.bounds import Standing
from services.gateway.store.tables import cases

_OWN = cases.c.applicant_id == bindparam("of_applicant")
_OPEN = select(func.count()).where(
    _OWN, cases.c.matter == bindparam("of_matter"), cases.c.submitted.is_not(None), cases.c.ended.is_(None)
)
_SUBMITTED = select(func.count()).where(_OWN, cases.c.submitted >= bindparam("since"))
# Built once: to build a statement costs as much as to run it.
_STANDING = select(_OPEN.scalar_subquery().label("open_cases"), _SUBMITTED.scalar_subquery().label("submissions"))


async def standing_of(connection: AsyncConnection, applicant_id: str, matter: str, since: datetime) -> Standing:
    """Open cases of a matter, and submissions of all matters from a moment on."""
    asked = {"of_applicant": applicant_id, "of_matter": matter, "since": since}
    row = (await connection.execute(_STANDING, asked)).one()
    return Standing(row.open_cases, row.submissions)
