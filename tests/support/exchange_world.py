# SPDX-License-Identifier: Apache-2.0
"""The exchange's use cases around a store in memory, with providers and persons that a test puts in."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.exchange.domain.grant import Grant
from services.exchange.domain.inquiry import Inquiry, Query, Subject, SubjectKind, Verification
from services.exchange.domain.refusals import ConsentMissing
from services.exchange.domain.resource import Resource, ResourceField, Sensitivity, SharingClass
from services.exchange.domain.settings import AdapterKind, ConnectorSettings
from services.exchange.service.broker import Broker
from services.exchange.service.catalogue import CatalogueService
from services.exchange.service.corrections import Disputes
from services.exchange.service.corrections.ports import Dispute
from services.exchange.service.explaining import Explainer
from services.exchange.service.grants import CreateGrant, GrantService
from services.exchange.service.ports import Adapter
from services.exchange.service.providers import Limits, Providers, Terms
from services.exchange.service.queries import QueryService
from services.exchange.service.quotas import Quotas
from services.exchange.service.rulebook import Rulebook
from services.exchange.service.steps import StepService
from services.exchange.service.subjects import Subjects
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.errors import Unavailable
from services.kit.ids import new_id
from services.kit.ledger.access import Access
from tests.support.exchange_memory import MemoryExchangeStore

HEALTH = "11990100000001011X"
HOSPITAL = "1299010000000102XJ"
POLICE = "11990100000001046G"
HOUSEHOLD = "307002/000001"
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
OWN_PER_DAY = 3
# Synthetic: no real number begins with 99.
NUMBER = "990100199003070027"
SUBJECT_ID = "5e0c5e05-2b1c-4b6f-9a35-5d2f7b1f9a01"

OPERATOR = Caller(CallerKind.OPERATOR, "operator-1", frozenset({"*"}))
HOSPITAL_CALLER = Caller(CallerKind.AGENCY, HOSPITAL, frozenset({"exchange.query", "exchange.read"}), agency=HOSPITAL)
CITIZEN = Caller(CallerKind.CITIZEN, SUBJECT_ID)
SERVICE = Caller(CallerKind.SERVICE, "exchange", actor="spiffe://tongban/service/exchange")

RECORD = {"household_number": "H-1", "address": "1 Spring Lane", "head_name": "Li Wei", "relation": "daughter"}

Answer = Callable[[Inquiry], Awaitable[Mapping[str, Any] | None]]


def household(**changes: Any) -> Resource:
    """A resource of four fields, reached by connector."""
    names = ("household_number", "address", "head_name", "relation")
    resource = Resource(
        code=HOUSEHOLD,
        name_zh="居民户口簿",
        name_en="Household register",
        provider=POLICE,
        sharing_class=SharingClass.CONDITIONAL,
        sharing_reason="For services to residents.",
        fields=tuple(ResourceField(name, "字段", name, Sensitivity.PERSONAL) for name in names),
        adapter=AdapterKind.CONNECTOR,
        settings=ConnectorSettings(),
        timeout_ms=200,
        region="990100",
    )
    return replace(resource, **changes)


def a_grant(**changes: Any) -> Grant:
    """A grant of the hospital on the household register."""
    grant = Grant(
        grant_id=new_id(),
        resource=HOUSEHOLD,
        grantee=HOSPITAL,
        purposes=("birth",),
        fields=("household_number", "address"),
        verify_fields=("head_name",),
        basis="PIPL art. 13(1)(3)",
        expire_time=NOW + timedelta(days=30),
        daily_quota=0,
        create_time=NOW,
    )
    return replace(grant, **changes)


def create_grant(**changes: Any) -> CreateGrant:
    """The command that gives the hospital a grant on the household register."""
    command = CreateGrant(
        request_id=new_id(),
        resource=HOUSEHOLD,
        grantee=HOSPITAL,
        purposes=("birth",),
        fields=("household_number", "address"),
        verify_fields=("head_name",),
        basis="PIPL art. 13(1)(3)",
        expire_time=NOW + timedelta(days=30),
        daily_quota=0,
    )
    return replace(command, **changes)


def a_query(**changes: Any) -> Query:
    """The hospital's question about one person's household."""
    query = Query(
        resource=HOUSEHOLD,
        subject=Subject(SubjectKind.NUMBER, NUMBER),
        fields=("address",),
        purpose="birth",
        case_id="990100/x/1",
    )
    return replace(query, **changes)


def a_verification(**values: str) -> Verification:
    """The hospital's comparison with one person's household."""
    return Verification(HOUSEHOLD, Subject(SubjectKind.NUMBER, NUMBER), values, "birth", "990100/x/1")


@dataclass
class PersonsFake:
    """Who has which number."""

    numbers: dict[str, str] = field(default_factory=lambda: {SUBJECT_ID: NUMBER})
    down: bool = False
    asked: list[str] = field(default_factory=list)

    async def by_subject_id(self, subject_id: str, **_: str) -> str:
        self._ask("number")
        return self.numbers[subject_id]

    async def by_number(self, number: str, **_: str) -> str:
        self._ask("subject_id")
        return next((subject for subject, known in self.numbers.items() if known == number), "")

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.down:
            raise Unavailable("Identity does not answer.")


@dataclass
class ProviderFake:
    """A register whose answers a test puts in."""

    answer: Answer | None = None
    record: Mapping[str, Any] | None = field(default_factory=lambda: dict(RECORD))
    asked: list[Inquiry] = field(default_factory=list)
    closed: int = 0

    async def ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        self.asked.append(inquiry)
        return self.record if self.answer is None else await self.answer(inquiry)

    async def close(self) -> None:
        self.closed += 1


class NothingDisputed:
    """Where nobody disputes anything."""

    def pseudonym(self, subject_id: str) -> str:
        return subject_id

    async def disputes_since(self, moment: datetime | None) -> Sequence[Dispute]:  # noqa: ARG002 - a stand-in
        return []

    async def dispute(self, correction_id: str) -> Dispute | None:  # noqa: ARG002 - a stand-in
        return None


@dataclass
class ConsentsFake:
    """Who has consented to something."""

    subjects: set[str] = field(default_factory=set)

    async def must_hold(self, *, subject_id: str, **_: Any) -> None:
        if subject_id not in self.subjects:
            raise ConsentMissing("The subject has not consented to this.")


@dataclass
class StepsFake:
    """Inputs of steps."""

    query: Query | None = None
    error: Exception | None = None

    async def question(self, case_id: str, step_id: str, attempt: int) -> Query | None:
        assert case_id
        assert step_id
        assert attempt
        if self.error is not None:
            raise self.error
        return self.query


class World:
    """Everything wired; time stands still unless a test moves it."""

    def __init__(self, *, limits: Limits | None = None, store: MemoryExchangeStore | None = None) -> None:
        self.now = NOW
        self.seconds = 1000.0
        self.store = store or MemoryExchangeStore()
        self.persons = PersonsFake()
        self.provider = ProviderFake()
        self.steps = StepsFake()
        self.rulebook = Rulebook(
            self.store,
            clock=self.clock,
            monotonic=self.monotonic,
            age_seconds_max=30,
            pairs_max=100,
            is_working_day=lambda day: day.weekday() < 5,
        )
        self.consents = ConsentsFake()
        self.quotas = Quotas(self.store, own_per_day=OWN_PER_DAY, clock=self.clock, monotonic=self.monotonic)
        self.terms = Terms(self.clock)
        self.providers = Providers(
            dict.fromkeys(AdapterKind, self._adapter),
            monotonic=self.monotonic,
            limits=limits or Limits(),
            terms=self.terms,
        )
        subjects = Subjects(self.persons, self.store, monotonic=self.monotonic)
        broker = Broker(self.rulebook, subjects, self.quotas, self.providers, self.consents, clock=self.clock)
        self.catalogue = CatalogueService(self.store, self.rulebook, clock=self.clock, region="990100")
        self.grants = GrantService(self.store, self.rulebook, clock=self.clock)
        self.disputes = Disputes(NothingDisputed(), clock=self.clock)
        self.queries = QueryService(
            self.store, self.rulebook, subjects, broker, disputes=self.disputes, clock=self.clock
        )
        self.explainer = Explainer(
            self.store, self.rulebook, self.quotas, clock=self.clock, is_working_day=lambda day: day.weekday() < 5
        )
        self.answering = StepService(
            self.store,
            self.rulebook,
            subjects,
            broker,
            self.steps,
            disputes=self.disputes,
            clock=self.clock,
            answer_days=30,
        )

    def clock(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds

    @property
    def leaves(self) -> list[Access]:
        """What the ledger holds."""
        return [access for _, access in self.store.rows.leaves]

    @property
    def last_leaf(self) -> Access:
        """The newest leaf."""
        return self.leaves[-1]

    async def granted(self, *, resource: Resource | None = None, **changes: Any) -> Grant:
        """Store the household register and a grant of the hospital on it."""
        await self.rulebook.refresh()
        await self.catalogue.put_resource(resource or household(), OPERATOR)
        return await self.grants.create(create_grant(**changes), OPERATOR)

    @contextmanager
    def hung(self) -> Iterator[asyncio.Event]:
        """Make the provider wait until the event is set."""
        released = asyncio.Event()

        async def wait(_: Inquiry) -> Mapping[str, Any] | None:
            await released.wait()
            return RECORD

        self.provider.answer = wait
        try:
            yield released
        finally:
            released.set()

    def _adapter(self, _: Resource) -> Adapter:
        return self.provider


@contextmanager
def asking(caller: Caller = HOSPITAL_CALLER) -> Iterator[Caller]:
    """Be the caller."""
    with acting_as(caller):
        yield caller
