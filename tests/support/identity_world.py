# SPDX-License-Identifier: Apache-2.0
"""Identity's use cases over memory, with a clock that stands still until it is told otherwise."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from services.identity.domain.numbers import NumberKind
from services.identity.domain.person import NewPerson
from services.identity.service.agencies import AgenciesService
from services.identity.service.organizations import OrganizationsService
from services.identity.service.persons import PersonsService
from services.identity.service.tokens import TokenKeys, TokensService
from services.identity.service.verification import VerificationService
from services.kit.caller import Caller, CallerKind
from services.kit.ids import new_id
from tests.support.identity_memory import MemoryLedger, MemoryStore

POLICE_CODE = "11990100000001046G"
HOSPITAL_CODE = "1299010000000102XJ"
POLICE = Caller(
    CallerKind.AGENCY,
    POLICE_CODE,
    frozenset({"identity.register", "identity.verify", "identity.existence"}),
    agency=POLICE_CODE,
)
HOSPITAL = Caller(CallerKind.AGENCY, HOSPITAL_CODE, frozenset({"identity.verify"}), agency=HOSPITAL_CODE)
GATEWAY = Caller(CallerKind.SERVICE, "gateway")
OPERATOR = Caller(CallerKind.OPERATOR, "operator-1", frozenset({"identity.agencies", "identity.personas"}))

NUMBER = "110101190001010022"
OTHER_NUMBER = "440524188001010014"
NAME = "阿依古丽·买买提"
PHONE = "+8613800000000"


def citizen(subject_id: str) -> Caller:
    """A resident who has signed in."""
    return Caller(CallerKind.CITIZEN, subject_id)


def new_person(number: str = NUMBER, **changed: str) -> NewPerson:
    """A made-up person, born in 1900."""
    values = {"name": NAME, "phone": PHONE, "address": "北京市东城区甲一号", "region": "110101"} | changed
    return NewPerson(number_kind=NumberKind.CITIZEN, number=number, **values)


@dataclass
class World:
    """Everything that identity is made of, but for wire and disk."""

    now: datetime = datetime(2026, 11, 3, 4, 0, tzinfo=UTC)
    sandbox: bool = True
    opened: list[str] = field(default_factory=list)

    def clock(self) -> datetime:
        return self.now

    def pass_time(self, **span: float) -> None:
        self.now += timedelta(**span)

    @cached_property
    def store(self) -> MemoryStore:
        return MemoryStore(clock=self.clock)

    @cached_property
    def ledger(self) -> MemoryLedger:
        return MemoryLedger()

    @cached_property
    def persons(self) -> PersonsService:
        return PersonsService(self.store, self.ledger, clock=self.clock, new_id=new_id, digest=digest)

    @cached_property
    def verification(self) -> VerificationService:
        return VerificationService(self.store, self.ledger, clock=self.clock)

    @cached_property
    def organizations(self) -> OrganizationsService:
        return OrganizationsService(self.store, clock=self.clock, new_id=new_id, digest=digest)

    @cached_property
    def agencies(self) -> AgenciesService:
        return AgenciesService(self.store)

    def tokens(self, keys: TokenKeys) -> TokensService:
        return TokensService(
            self.store,
            keys,
            clock=self.clock,
            new_id=new_id,
            issuer="https://issuer.invalid",
            token_seconds=600,
            sandbox=self.sandbox,
        )


def digest(payload: bytes) -> str:
    """Stands in for the keyed digest."""
    return hashlib.sha256(b"key" + payload).hexdigest()
