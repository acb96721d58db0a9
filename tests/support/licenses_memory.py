# SPDX-License-Identifier: Apache-2.0
"""The store of licenses in memory. Passes the same suite as the one over SQL (tests/contract/licenses)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from services.kit.errors import Refusal, VersionConflict
from services.kit.ledger.access import Access, Receipt
from services.kit.paging import Page
from services.licenses.domain.catalogue import Attributes
from services.licenses.domain.identifier import LicenseIdentifier
from services.licenses.domain.license import License, LicenseState
from services.licenses.service.port import Content, Note, Request
from services.licenses.store.sql import read_token, write_token


@dataclass
class MemoryAccount:
    """One use on its way to its leaf."""

    ledger: "MemoryLedger"
    access: Access
    receipt: Receipt | None = None

    async def answered(self, *, fields: tuple[str, ...] | None = None, digest: str = "") -> Receipt:
        fields = self.access.fields if fields is None else fields
        self.access = self.access._replace(fields=fields, digest=digest or self.access.digest)
        self.receipt = await self.ledger.append(self.access)
        return self.receipt


@dataclass
class MemoryLedger:
    """Leaves as they were told."""

    leaves: list[Access] = field(default_factory=list)

    async def append(self, access: Access) -> Receipt:
        self.leaves.append(access)
        return Receipt("licenses", len(self.leaves) - 1, hashlib.sha256(repr(access).encode()).digest())

    @asynccontextmanager
    async def account(self, access: Access) -> AsyncIterator[MemoryAccount]:
        account = MemoryAccount(self, access)
        try:
            yield account
        except Refusal as refusal:
            await self.append(account.access._replace(outcome=refusal.reason))
            raise
        assert account.receipt is not None, "A use of personal data ended without its leaf."


@dataclass
class Rows:
    """Everything that a transaction can undo."""

    seen: set[str] = field(default_factory=set)
    licenses: dict[str, License] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    requests: dict[str, Request] = field(default_factory=dict)
    facts: list[object] = field(default_factory=list)

    def copied(self) -> "Rows":
        return Rows(
            set(self.seen),
            dict(self.licenses),
            dict(self.contents),
            list(self.notes),
            dict(self.requests),
            list(self.facts),
        )


class MemoryTx:
    """One transaction over a copy."""

    def __init__(self, rows: Rows, ledger: MemoryLedger) -> None:
        self.rows = rows
        self.ledger = ledger

    async def first_sight(self, id: str) -> bool:
        fresh = id not in self.rows.seen
        self.rows.seen.add(id)
        return fresh

    async def record(self, fact: object) -> None:
        self.rows.facts.append(fact)

    async def leaf(self, access: Access) -> Receipt:
        return await self.ledger.append(access)

    async def license(self, license_id: str) -> License | None:
        return self.rows.licenses.get(license_id)

    async def newest(self, type_code: str, issuer: str, serial: str) -> License | None:
        wanted = (type_code, issuer, serial)
        found = [one for one in self.rows.licenses.values() if _key(one.identifier) == wanted]
        return max(found, key=lambda one: one.identifier.version, default=None)

    async def of_step(self, case_id: str, step_id: str) -> tuple[License, str] | None:
        found = [one for one in self.rows.licenses.values() if (one.case_id, one.step_id) == (case_id, step_id)]
        newest = max(found, key=lambda one: (one.issue_time, one.identifier.version), default=None)
        return None if newest is None else (newest, self.rows.contents[newest.license_id].fingerprint)

    async def held(
        self, type_code: str, issuer: str, holder_id: str, *, after: str
    ) -> list[tuple[License, Attributes]]:
        found = [
            one
            for one in self.rows.licenses.values()
            if (one.identifier.type_code, one.identifier.issuer, one.holder_id) == (type_code, issuer, holder_id)
            and one.state in {LicenseState.ACTIVE, LicenseState.SUSPENDED}
            and one.license_id > after
        ]
        found.sort(key=lambda one: one.license_id)
        return [(one, self.rows.contents[one.license_id].attributes) for one in found[:100]]

    async def add(self, license: License, content: Content) -> None:
        if any(one.identifier == license.identifier for one in self.rows.licenses.values()):
            raise VersionConflict("The same version was issued at this moment.")
        self.rows.licenses[license.license_id] = license
        self.rows.contents[license.license_id] = content

    async def save(self, license: License) -> None:
        self.rows.licenses[license.license_id] = replace(self.rows.licenses[license.license_id], state=license.state)

    async def note(self, note: Note) -> None:
        self.rows.notes.append(note)

    async def request(self, key: str) -> Request | None:
        return self.rows.requests.get(key)

    async def remember(self, request: Request) -> None:
        assert request.key not in self.rows.requests
        self.rows.requests[request.key] = request


class MemoryLicensesStore:
    """One writer at a time; what a failed transaction did is undone, leaves included."""

    def __init__(self, tx_type: type[MemoryTx] = MemoryTx) -> None:
        self.tx_type = tx_type
        self.rows = Rows()
        self.ledger = MemoryLedger()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTx]:
        async with self._turn:
            rows, leaves = self.rows.copied(), len(self.ledger.leaves)
            try:
                yield self.tx_type(rows, self.ledger)
            except BaseException:
                del self.ledger.leaves[leaves:]
                raise
            self.rows = rows

    def digest(self, payload: bytes) -> str:
        return hashlib.sha256(b"key" + payload).hexdigest()

    async def find(self, license_id: str) -> License | None:
        return self.rows.licenses.get(license_id)

    async def find_identified(self, identifier: LicenseIdentifier) -> tuple[License, bytes] | None:
        for one in self.rows.licenses.values():
            if one.identifier == identifier:
                return one, self.rows.contents[one.license_id].words
        return None

    async def content(self, license: License) -> Content:
        return self.rows.contents[license.license_id]

    async def of_reader(self, subject_id: str, page_size: int, page_token: str) -> Page[License]:
        own = [one for one in self.rows.licenses.values() if subject_id in one.readers]
        own.sort(key=lambda one: (one.issue_time, one.license_id), reverse=True)
        if page_token:
            after = read_token(page_token)
            own = [one for one in own if (one.issue_time, one.license_id) < after]
        page = own[:page_size]
        return Page(tuple(page), write_token(page[-1]) if len(own) > page_size else "")


def _key(identifier: LicenseIdentifier) -> tuple[str, str, str]:
    return identifier.type_code, identifier.issuer, identifier.serial
