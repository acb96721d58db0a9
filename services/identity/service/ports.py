# SPDX-License-Identifier: Apache-2.0
"""What the use cases need from outside: rows, a ledger, a keyed digest, a signer."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from services.identity.domain.agency import Agency
from services.identity.domain.numbers import NumberKind, PersonalNumber
from services.identity.domain.organization import Organization
from services.identity.domain.person import Person
from services.identity.domain.persona import Persona
from services.identity.domain.use import Use

NumberKey = tuple[NumberKind, str]
"""A number is unique within its kind."""

Digest = Callable[[bytes], str]
"""Keyed: without the service's key nobody can tell which content a digest stands for."""


class Receipt(Protocol):
    """Names the leaf that stands for an answer."""

    @property
    def log(self) -> str:
        """The ledger."""

    @property
    def index(self) -> int:
        """The leaf's place in it."""

    @property
    def blinding(self) -> bytes:
        """What opens the leaf's digest."""

    @property
    def leaf_hash(self) -> bytes:
        """SHA-256 of the leaf."""


class Entry(Protocol):
    """A use that is being accounted for."""

    async def answered(
        self, *, fields: Sequence[str], digest: str, outcome: str = "", subject_id: str | None = None
    ) -> Receipt:
        """The leaf is durable when this returns; only then may the answer leave. Empty or None: as in the use."""


class Ledger(Protocol):
    """Where every use of personal data is a leaf, refused ones too."""

    def account(self, use: Use) -> AbstractAsyncContextManager[Entry]:
        """Around a use: a refusal inside becomes a leaf with its reason as the outcome, and goes on."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may come again: same caller, operation and id, same answer."""

    caller: str
    operation: str
    request_id: str
    fingerprint: str
    """Keyed digest of the content."""


class Tx(Protocol):
    """One transaction."""

    async def first_sight(self, delivery_id: str, /) -> bool:
        """Whether this delivery is new; it is remembered with this transaction."""

    async def record(self, fact: object) -> None:
        """Tells a fact, with this transaction."""

    async def account_for(self, uses: Sequence[Use]) -> None:
        """Adds a leaf for each, with this transaction; the last thing to do in it, since others wait for it."""

    async def earlier_answer(self, request: Request) -> tuple[str, ...] | None:
        """Subject ids of the first answer to this request; None, and remembered, at first sight.

        Raises:
            RequestIdReused: the id came before with other content.
        """

    async def keep_answer(self, request: Request, subject_ids: Sequence[str]) -> None:
        """Keeps the answer for the next time."""

    async def persons(self, subject_ids: Collection[str]) -> Mapping[str, Person]:
        """Those on record, by subject id."""

    async def persons_by_number(self, numbers: Collection[PersonalNumber]) -> Mapping[NumberKey, Person]:
        """Those on record, by number, present or former."""

    async def add_persons(self, persons: Sequence[Person]) -> frozenset[str]:
        """Adds those whose number is still free; their subject ids."""

    async def organizations(self, usccs: Collection[str]) -> Mapping[str, Organization]:
        """Those on record, by code."""

    async def add_organizations(self, organizations: Sequence[Organization]) -> None:
        """Adds those whose code is still free."""

    async def end_organization(self, organization: Organization) -> None:
        """Keeps when it was struck off, unless that is on record already."""

    async def agency(self, uscc: str) -> Agency | None:
        """The agency, locked until the end of the transaction."""

    async def save_agency(self, agency: Agency) -> None:
        """Keeps the agency.

        Raises:
            VersionConflict: somebody else saved another version first.
        """

    async def save_personas(self, personas: Sequence[Persona]) -> None:
        """Keeps them; one with a known key is replaced."""

    async def forget_requests(self, *, days: int) -> int:
        """Forgets answers older than that; how many."""


class Store(Protocol):
    """Rows in and out."""

    def transaction(self) -> AbstractAsyncContextManager[Tx]:
        """One transaction for a change."""

    async def person(self, subject_id: str) -> Person | None:
        """The person."""

    async def person_by_number(self, number: PersonalNumber) -> Person | None:
        """The person who has, or had, this number."""

    async def organization(self, uscc: str) -> Organization | None:
        """The organization."""

    async def agency(self, uscc: str) -> Agency | None:
        """The agency."""

    async def agencies(self, *, after: str, limit: int) -> tuple[Agency, ...]:
        """By code, those after this one."""

    async def persona(self, key: str) -> Persona | None:
        """The persona."""

    async def personas(self) -> tuple[Persona, ...]:
        """All, by key."""


class Signer(Protocol):
    """A private key that signs, and its public half."""

    @property
    def kid(self) -> str:
        """Key id."""

    def public_jwk(self) -> dict[str, str]:
        """The public half (RFC 7517)."""

    def sign_jws(self, payload: bytes, headers: Mapping[str, str]) -> str:
        """A compact JWS, ES256."""
