# SPDX-License-Identifier: Apache-2.0
"""Files that applicants handed in; their bytes stand only in a sealed column."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, delete, func, select

from services.gateway.store.tables import cases, draft_counts, metadata
from services.kit.store import Store, Tx, UtcDateTime

material_content = Table(
    "material_content",
    metadata,
    Column("material_id", String(36), primary_key=True),
    Column("case_id", String(36), nullable=False),
    Column("applicant_id", String(36), nullable=False),
    Column("size", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Index("material_content_by_case", "case_id"),
    Index("material_content_by_applicant", "applicant_id"),
)


class MaterialRows(Tx):
    """What a transaction reads and writes of files."""

    async def keep_content(self, material_id: str, case_id: str, applicant_id: str, content: bytes) -> int:
        """Keep a file; its case is locked. Gives the bytes in all drafts of the applicant.

        Who keeps another one for the same applicant waits for our commit: the count of their drafts is the lock.
        """
        statement = self.insert(draft_counts).values(applicant_id=applicant_id, drafts=0)
        await self.connection.execute(
            statement.on_conflict_do_update(index_elements=["applicant_id"], set_={"drafts": draft_counts.c.drafts})
        )
        await self.connection.execute(
            material_content.insert().values(
                material_id=material_id,
                case_id=case_id,
                applicant_id=applicant_id,
                size=len(content),
                sealed=self.store.keyring.seal(content, _place(material_id)),
                created=self.store.clock(),
            )
        )
        asked = (
            select(func.coalesce(func.sum(material_content.c.size), 0))
            .join(cases, cases.c.case_id == material_content.c.case_id)
            .where(material_content.c.applicant_id == applicant_id, cases.c.submitted.is_(None))
        )
        return int((await self.connection.execute(asked)).scalar_one())

    async def drop_contents(self, material_ids: Sequence[str]) -> None:
        """Let go of files."""
        await self.connection.execute(delete(material_content).where(material_content.c.material_id.in_(material_ids)))


class MaterialReads(Store[Any]):
    """What is read of files outside a transaction."""

    async def content_of(self, material_id: str) -> bytes | None:
        """A file; None where it was taken back."""
        asked = select(material_content.c.sealed).where(material_content.c.material_id == material_id)
        async with self.reading() as connection:
            sealed = (await connection.execute(asked)).scalar_one_or_none()
        return None if sealed is None else self.keyring.open_sealed(sealed, _place(material_id))


def _place(material_id: str) -> str:
    return f"material:{material_id}"
