# SPDX-License-Identifier: Apache-2.0
"""Identity's store and ledger in memory. Passes the same suite as the real ones (tests/contract/identity)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from services.identity.domain.agency import Agency
from services.identity.domain.numbers import PersonalNumber
from services.identity.domain.organization import Organization
from services.identity.domain.person import Person
from services.identity.domain.persona import Persona
from services.identity.domain.use import Use
from services.identity.service.ports import NumberKey, Request
from services.kit.caller import current_caller
from services.kit.clock import Clock
from services.kit.errors import Refusal, RequestIdReused, Unavailable, VersionConflict


@dataclass
class Rows:
    """What is committed."""

    seen: set[str] = field(default_factory=set)
    facts: list[object] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    requests: dict[tuple[str, str, str], tuple[str, tuple[str, ...], datetime]] = field(default_factory=dict)
    persons: dict[str, Person] = field(default_factory=dict)
    numbers: dict[NumberKey, str] = field(default_factory=dict)
    organizations: dict[str, Organization] = field(default_factory=dict)
    agencies: dict[str, Agency] = field(default_factory=dict)
    personas: dict[str, Persona] = field(default_factory=dict)

    def copied(self) -> "Rows":
        """A copy to change: its entries are frozen."""
        return Rows(**{name: value.copy() for name, value in vars(self).items()})


def _key(request: Request) -> tuple[str, str, str]:
    return request.caller, request.operation, request.request_id


@dataclass
class MemoryTx:
    """One transaction on a copy of the rows."""

    rows: Rows
    now: datetime

    async def first_sight(self, delivery_id: str, /) -> bool:
        new = delivery_id not in self.rows.seen
        self.rows.seen.add(delivery_id)
        return new

    async def record(self, fact: object) -> None:
        self.rows.facts.append(fact)

    async def account_for(self, uses: Sequence[Use]) -> None:
        self.rows.uses.extend(uses)

    async def earlier_answer(self, request: Request) -> tuple[str, ...] | None:
        earlier = self.rows.requests.get(_key(request))
        if earlier is None:
            self.rows.requests[_key(request)] = (request.fingerprint, (), self.now)
            return None
        if earlier[0] != request.fingerprint:
            raise RequestIdReused("This request id came before with other content.")
        return earlier[1]

    async def keep_answer(self, request: Request, subject_ids: Sequence[str]) -> None:
        fingerprint, _, moment = self.rows.requests[_key(request)]
        self.rows.requests[_key(request)] = (fingerprint, tuple(subject_ids), moment)

    async def persons(self, subject_ids: Collection[str]) -> Mapping[str, Person]:
        return {
            subject_id: self.rows.persons[subject_id] for subject_id in subject_ids if subject_id in self.rows.persons
        }

    async def persons_by_number(self, numbers: Collection[PersonalNumber]) -> Mapping[NumberKey, Person]:
        keys = [(number.kind, number.value) for number in numbers]
        return {key: self.rows.persons[self.rows.numbers[key]] for key in keys if key in self.rows.numbers}

    async def add_persons(self, persons: Sequence[Person]) -> frozenset[str]:
        added = set()
        for person in persons:
            key = (person.number.kind, person.number.value)
            if key not in self.rows.numbers:
                self.rows.numbers[key] = person.subject_id
                self.rows.persons[person.subject_id] = person
                added.add(person.subject_id)
        return frozenset(added)

    async def organizations(self, usccs: Collection[str]) -> Mapping[str, Organization]:
        return {uscc: self.rows.organizations[uscc] for uscc in usccs if uscc in self.rows.organizations}

    async def add_organizations(self, organizations: Sequence[Organization]) -> None:
        for organization in organizations:
            self.rows.organizations.setdefault(organization.uscc, organization)

    async def end_organization(self, organization: Organization) -> None:
        if self.rows.organizations[organization.uscc].deregister_time is None:
            self.rows.organizations[organization.uscc] = organization

    async def agency(self, uscc: str) -> Agency | None:
        return self.rows.agencies.get(uscc)

    async def save_agency(self, agency: Agency) -> None:
        before = self.rows.agencies.get(agency.uscc)
        if before is not None and before.version != agency.version - 1:
            raise VersionConflict("Somebody else changed the agency meanwhile.")
        self.rows.agencies[agency.uscc] = agency

    async def save_personas(self, personas: Sequence[Persona]) -> None:
        self.rows.personas |= {persona.key: persona for persona in personas}

    async def forget_requests(self, *, days: int) -> int:
        before = self.now - timedelta(days=days)
        old = [key for key, (_, _, moment) in self.rows.requests.items() if moment < before]
        for key in old:
            del self.rows.requests[key]
        return len(old)


class MemoryStore:
    """Rows in and out; one transaction at a time."""

    def __init__(self, *, clock: Clock) -> None:
        self.rows = Rows()
        self.reachable = True
        self._clock = clock
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTx]:
        async with self._turn:
            tx = MemoryTx(self._answering().copied(), self._clock())
            yield tx
            self.rows = tx.rows

    async def person(self, subject_id: str) -> Person | None:
        return self._answering().persons.get(subject_id)

    async def person_by_number(self, number: PersonalNumber) -> Person | None:
        rows = self._answering()
        return rows.persons.get(rows.numbers.get((number.kind, number.value), ""))

    async def organization(self, uscc: str) -> Organization | None:
        return self._answering().organizations.get(uscc)

    async def agency(self, uscc: str) -> Agency | None:
        return self._answering().agencies.get(uscc)

    async def agencies(self, *, after: str, limit: int) -> tuple[Agency, ...]:
        rows = self._answering()
        return tuple(rows.agencies[uscc] for uscc in sorted(rows.agencies) if uscc > after)[:limit]

    async def persona(self, key: str) -> Persona | None:
        return self._answering().personas.get(key)

    async def personas(self) -> tuple[Persona, ...]:
        rows = self._answering()
        return tuple(rows.personas[key] for key in sorted(rows.personas))

    def _answering(self) -> Rows:
        if not self.reachable:
            raise Unavailable("The database does not answer.")
        return self.rows


@dataclass(frozen=True)
class MemoryReceipt:
    """Names a leaf."""

    log: str
    index: int
    leaf_hash: bytes
    blinding: bytes = b""


@dataclass(frozen=True)
class Leaf:
    """A use, and who used."""

    use: Use
    caller: str


class MemoryLedger:
    """Leaves in a list."""

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []

    @asynccontextmanager
    async def account(self, use: Use) -> AsyncIterator["MemoryEntry"]:
        entry = MemoryEntry(self, use)
        try:
            yield entry
        except Refusal as refusal:
            self.append(replace(use, outcome=refusal.reason))
            raise
        except Unavailable:
            self.append(replace(use, outcome="UNAVAILABLE"))
            raise
        if not entry.told:
            raise RuntimeError("A use of personal data ended without its leaf.")

    def append(self, use: Use) -> MemoryReceipt:
        self.leaves.append(Leaf(use, current_caller().label))
        return MemoryReceipt("identity", len(self.leaves) - 1, hashlib.sha256(repr(use).encode()).digest())


class MemoryEntry:
    """A use that is being accounted for."""

    def __init__(self, ledger: MemoryLedger, use: Use) -> None:
        self._ledger = ledger
        self._use = use
        self.told = False

    async def answered(
        self, *, fields: Sequence[str], digest: str, outcome: str = "", subject_id: str | None = None
    ) -> MemoryReceipt:
        self.told = True
        return self._ledger.append(
            replace(
                self._use,
                fields=tuple(fields),
                digest=digest,
                outcome=outcome or self._use.outcome,
                subject_id=self._use.subject_id if subject_id is None else subject_id,
            )
        )
