# SPDX-License-Identifier: Apache-2.0
"""The store that the use cases need; SQL in production, memory in unit tests."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from services.kit.ledger.access import Access, Receipt
from services.kit.paging import Page
from services.licenses.domain.catalogue import Attributes
from services.licenses.domain.identifier import LicenseIdentifier
from services.licenses.domain.license import License, LicenseState


@dataclass(frozen=True, slots=True)
class Content:
    """What a license says; at rest it is sealed.

    Attributes:
        attributes: In clear.
        credential: With every disclosure.
        words: SHA-256 of the issuer-signed JWT: by it a copy is known again.
        fingerprint: Keyed digest of what was asked for: by it a repeat of a step is known again.
    """

    attributes: Attributes = field(repr=False)
    credential: str = field(repr=False)
    words: bytes
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Note:
    """Why a license changed, for its file; `grounds` are sealed at rest."""

    license_id: str
    change: str
    change_time: datetime
    caller: str
    grounds: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """What a request id was answered with.

    Attributes:
        key: The caller and the request id.
        fingerprint: Keyed digest of the request.
        license_id: The license it was about.
        state: The state it was left in.
        receipt: The leaf.
    """

    key: str
    fingerprint: str
    license_id: str
    state: LicenseState
    receipt: Receipt


class LicensesTx(Protocol):
    """One transaction."""

    async def first_sight(self, id: str) -> bool:
        """Tell whether a request or delivery has not had its effect yet."""

    async def record(self, fact: object) -> None:
        """Tell a fact once this commits."""

    async def leaf(self, access: Access) -> Receipt:
        """Add a leaf to the ledger; ask for it last."""

    async def license(self, license_id: str) -> License | None:
        """Find a license and hold it until the end."""

    async def newest(self, type_code: str, issuer: str, serial: str) -> License | None:
        """Find the newest version of a license and hold it until the end."""

    async def of_step(self, case_id: str, step_id: str) -> tuple[License, str] | None:
        """Find the newest license of a step, with its fingerprint."""

    async def held(
        self, type_code: str, issuer: str, holder_id: str, *, after: str
    ) -> list[tuple[License, Attributes]]:
        """Find up to 100 licenses of a holder that have not been ended, with what they say, and hold them until the end.

        In the order of their ids, from behind `after`; nothing where there are no more.
        """

    async def add(self, license: License, content: Content) -> None:
        """Add a version. Raises VersionConflict where somebody else added it first."""

    async def save(self, license: License) -> None:
        """Save the state of a version."""

    async def note(self, note: Note) -> None:
        """Add to the file of a license."""

    async def request(self, key: str) -> Request | None:
        """Find what a request was answered with."""

    async def remember(self, request: Request) -> None:
        """Keep what a request was answered with."""


class Account(Protocol):
    """One use of personal data on its way to its leaf (`kit.ledger.Account`)."""

    access: Access
    receipt: Receipt | None

    async def answered(self, *, fields: tuple[str, ...] | None = None, digest: str = "") -> Receipt:
        """Write the leaf of an answer."""


class Ledger(Protocol):
    """The ledger of this service (`kit.ledger.Ledger`)."""

    async def append(self, access: Access) -> Receipt:
        """Add a leaf; durable on return."""

    def account(self, access: Access) -> AbstractAsyncContextManager[Account]:
        """Account for one use; a refusal inside becomes its leaf."""


class LicensesStore(Protocol):
    """Licenses at rest."""

    @property
    def ledger(self) -> Ledger:
        """The ledger in the same store."""

    def transaction(self) -> AbstractAsyncContextManager[LicensesTx]:
        """One transaction for a change."""

    def digest(self, payload: bytes) -> str:
        """Give a keyed digest."""

    async def find(self, license_id: str) -> License | None:
        """Find a license."""

    async def find_identified(self, identifier: LicenseIdentifier) -> tuple[License, bytes] | None:
        """Find a license by its identifier, with the digest of its words."""

    async def content(self, license: License) -> Content:
        """Open what a license says."""

    async def of_reader(self, subject_id: str, page_size: int, page_token: str) -> Page[License]:
        """List the licenses that a resident may read, newest first. Raises PageTokenInvalid."""
