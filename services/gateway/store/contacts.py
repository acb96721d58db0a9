# SPDX-License-Identifier: Apache-2.0
"""Rows of contacts; addresses stand only in a sealed column."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Integer, LargeBinary, String, Table, delete, select

from services.gateway.domain.contacts import Channel, Contact, ContactNotFound, Language
from services.gateway.store.rows import seal, unseal
from services.gateway.store.tables import metadata
from services.kit.crypto import Keyring
from services.kit.store import Store, Tx, UtcDateTime

contact = Table(
    "contact",
    metadata,
    Column("subject_id", String(36), primary_key=True),
    Column("channel", String(10), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("language", String(2), nullable=False),
    Column("verified", UtcDateTime, nullable=True),
    Column("code", String(64), nullable=False),
    Column("code_until", UtcDateTime, nullable=True),
    Column("code_tries", Integer, nullable=False),
)

contact_code_count = Table(
    "contact_code_count",
    metadata,
    Column("whose", String(64), primary_key=True),
    Column("day", String(8), primary_key=True),
    Column("sent", Integer, nullable=False),
)


class ContactRows(Tx):
    """What a transaction reads and writes of contacts."""

    async def contact(self, subject_id: str, channel: Channel) -> Contact:
        """Read and lock. Raises ContactNotFound."""
        own = (contact.c.subject_id == subject_id, contact.c.channel == channel.value)
        row = (await self.connection.execute(select(contact).where(*own).with_for_update())).mappings().one_or_none()
        if row is None:
            raise ContactNotFound("You have no such contact.")
        return _contact(row, self.store.keyring)

    async def save_contact(self, new: Contact) -> None:
        """Insert or replace."""
        row = _row(new, self.store.keyring)
        insert = self.insert(contact).values(row)
        changes = {name: insert.excluded[name] for name in row if name not in {"subject_id", "channel"}}
        await self.connection.execute(
            insert.on_conflict_do_update(index_elements=["subject_id", "channel"], set_=changes)
        )

    async def delete_contact(self, subject_id: str, channel: Channel) -> None:
        """Forget it."""
        own = (contact.c.subject_id == subject_id, contact.c.channel == channel.value)
        await self.connection.execute(delete(contact).where(*own))

    async def count_code(self, whose: str, day: str) -> int:
        """Count one more code of this day; give how many. `whose` is a keyed digest."""
        insert = self.insert(contact_code_count).values(whose=whose, day=day, sent=1)
        counted = insert.on_conflict_do_update(
            index_elements=["whose", "day"], set_={"sent": contact_code_count.c.sent + 1}
        ).returning(contact_code_count.c.sent)
        return int((await self.connection.execute(counted)).scalar_one())

    async def forget_code_counts(self, before_day: str) -> None:
        """Forget the counts of days before this one."""
        await self.connection.execute(delete(contact_code_count).where(contact_code_count.c.day < before_day))


class ContactReads(Store[Any]):
    """What is read of contacts outside a transaction."""

    async def contacts_of(self, subject_id: str) -> Sequence[Contact]:
        """A resident's, at most one of each channel."""
        asked = select(contact).where(contact.c.subject_id == subject_id).order_by(contact.c.channel)
        async with self.reading() as connection:
            rows = (await connection.execute(asked)).mappings().all()
        return [_contact(row, self.keyring) for row in rows]


def _row(new: Contact, keyring: Keyring) -> dict[str, Any]:
    given = {"address": new.address, "request": new.request}
    return {
        "subject_id": new.subject_id,
        "channel": new.channel.value,
        "sealed": seal(keyring, f"contact:{new.subject_id}:{new.channel.value}", given),
        "language": new.language.value,
        "verified": new.verified,
        "code": new.code,
        "code_until": new.code_until,
        "code_tries": new.code_tries,
    }


def _contact(row: Mapping[Any, Any], keyring: Keyring) -> Contact:
    given = unseal(keyring, f"contact:{row['subject_id']}:{row['channel']}", row["sealed"])
    return Contact(
        subject_id=row["subject_id"],
        channel=Channel(row["channel"]),
        address=given["address"],
        language=Language(row["language"]),
        request=given["request"],
        verified=row["verified"],
        code=row["code"],
        code_until=row["code_until"],
        code_tries=row["code_tries"],
    )
