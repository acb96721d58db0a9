# SPDX-License-Identifier: Apache-2.0
"""What is read of the catalogue for X-Road neighbors."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from services.exchange.store.grants import sharing_grant
from services.exchange.store.tables import resource
from services.kit.store import Store


class NeighborReads(Store[Any]):
    """Mixed into the store."""

    async def classifications(self) -> Sequence[tuple[str, str]]:
        """Give provider and classification of all resources, each pair once."""
        classification = func.rtrim(resource.c.code, "0123456789")  # What is left ends with the slash.
        query = (
            select(resource.c.provider, classification)
            .where(resource.c.retired.is_(False))
            .distinct()
            .order_by(resource.c.provider, classification)
        )
        async with self.reading() as connection:
            found = await connection.execute(query)
        return [(provider, code[:-1]) for provider, code in found]

    async def provided(self, provider: str, classification: str, *, limit: int) -> Sequence[str]:
        """Give codes of resources of one provider in one classification, in order."""
        query = (
            select(resource.c.code)
            .where(
                resource.c.provider == provider,
                resource.c.code.startswith(f"{classification}/", autoescape=True),
                resource.c.retired.is_(False),
            )
            .order_by(resource.c.code)
            .limit(limit)
        )
        async with self.reading() as connection:
            found = await connection.execute(query)
        return list(found.scalars())

    async def granted(self, grantee: str, codes: Sequence[str], *, now: datetime) -> frozenset[str]:
        """Tell on which of these resources an agency holds a grant."""
        query = select(sharing_grant.c.resource).where(
            sharing_grant.c.grantee == grantee,
            sharing_grant.c.resource.in_(codes),
            sharing_grant.c.revoke_time.is_(None),
            sharing_grant.c.expire_time > now,
        )
        async with self.reading() as connection:
            found = await connection.execute(query)
        return frozenset(found.scalars())
