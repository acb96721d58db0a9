# SPDX-License-Identifier: Apache-2.0
"""The gateway's use cases over any store, with sources that answer what they are told to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar, cast

from services.gateway.clients.scanners import EicarScanner
from services.gateway.domain.bounds import Bounds
from services.gateway.domain.expressions import Scalar
from services.gateway.service import GatewayService
from services.gateway.service.bell import Bell
from services.gateway.service.corrections import CorrectionSummary, CorrectionView, DisputeValue, RecallDesk
from services.gateway.service.dealing import DealingDesk
from services.gateway.service.drafts import Drafts
from services.gateway.service.engine import Engine
from services.gateway.service.inbox.ports import InboxStore
from services.gateway.service.life import Life, MaterialDesk
from services.gateway.service.operating import OperatorDesk
from services.gateway.service.outside import OutsideDesk
from services.gateway.service.ports import GatewayStore, OwnPerson, Question, SourceAnswer
from services.gateway.service.prefill import Prefiller
from services.gateway.service.resident import Sources
from services.gateway.service.steps import StepDesk
from services.gateway.service.tasks import TaskDesk
from services.gateway.service.timers import TimerDesk
from services.gateway.service.views import (
    AccessView,
    ForkView,
    JwksView,
    LicenseView,
    NarrowAccesses,
    OwnLeaves,
    PersonaView,
    TokenView,
)
from services.gateway.workflows import Workflows
from services.kit.caller import Caller, CallerKind
from services.kit.errors import NotFound
from services.kit.paging import Page
from services.kit.telemetry import Telemetry
from tests.support.gateway_consents import ConsentsFake
from tests.support.gateway_matters import HOSPITAL, MOTHER, NOW

T = TypeVar("T")

RESIDENT = Caller(CallerKind.CITIZEN, MOTHER, token="t")
NEIGHBOR = Caller(CallerKind.CITIZEN, "0d1c2b3a-0000-4000-8000-000000000009", token="t")
CLINIC = Caller(CallerKind.AGENCY, HOSPITAL, frozenset({"gateway.tasks", "gateway.signals"}), agency=HOSPITAL)
OPERATOR = Caller(CallerKind.OPERATOR, "op", frozenset({"gateway.cases"}))
BOUNDS = Bounds(drafts=20, draft_days=30, open_cases=5, submissions_per_day=20)


class MovingClock:
    """Time stands still until it is moved."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class StubIdentity:
    """Answers, or raises what stands in `trouble`."""

    values: Mapping[str, str] = field(default_factory=lambda: {"name": "王小花", "number": "11010519491231002X"})
    trouble: Exception | None = None
    asked: int = 0

    async def own_person(self) -> OwnPerson:
        self.asked += 1
        return OwnPerson(_or_trouble(self.values, self.trouble))

    async def personas(self) -> tuple[PersonaView, ...]:
        return ()

    async def issue_token(self, grant_type: str, persona: str) -> TokenView:
        return TokenView(f"{grant_type}:{persona}", 300)

    async def jwks(self) -> JwksView:
        return JwksView("issuer", "{}")


@dataclass
class StubExchange:
    """The same for departments and for answers of steps."""

    values: Mapping[str, Scalar] = field(default_factory=dict)
    trouble: Exception | None = None
    disputed: frozenset[str] = frozenset()
    answers: dict[str, Mapping[str, Scalar]] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)

    async def ask(self, question: Question) -> SourceAnswer:
        self.questions.append(question)
        return SourceAnswer("11990100000001054B", _or_trouble(self.values, self.trouble), self.disputed)

    async def answer(self, answer_id: str) -> SourceAnswer:
        if self.trouble is not None:
            raise self.trouble
        if answer_id not in self.answers:
            raise NotFound("There is no such answer.")
        return SourceAnswer("", self.answers[answer_id], self.disputed)


@dataclass
class StubLicenses:
    """Those that stand in `known`."""

    known: dict[str, LicenseView] = field(default_factory=dict)

    async def own(self, page_size: int, page_token: str) -> Page[LicenseView]:  # noqa: ARG002 - the port's words
        return Page(())

    async def read(self, license_id: str) -> LicenseView:
        if license_id not in self.known:
            raise NotFound("There is no such license.")
        return self.known[license_id]


class NoCorrections:
    """None."""

    async def open(self, command: DisputeValue) -> CorrectionView:  # noqa: ARG002 - the port's words
        raise NotFound("There is no such resource.")

    async def list(self, page_size: int, page_token: str) -> Page[CorrectionSummary]:  # noqa: ARG002 - the port's words
        return Page(())

    async def read(self, correction_id: str) -> CorrectionView:  # noqa: ARG002 - the port's words
        raise NotFound("There is no such correction.")

    async def withdraw(self, correction_id: str, idempotency_key: str) -> CorrectionView:  # noqa: ARG002 - the port's words
        raise NotFound("There is no such correction.")


class NoLedgers:
    """None."""

    async def own_leaves(self, log: str, narrow: NarrowAccesses, page_size: int, page_token: str) -> OwnLeaves:  # noqa: ARG002 - the port's words
        return OwnLeaves((), "", 0, 0)

    async def own_leaf(self, log: str, index: int) -> AccessView:  # noqa: ARG002 - the port's words
        raise NotFound("There is no such leaf.")

    async def since(self, log: str) -> datetime | None:  # noqa: ARG002 - the port's words
        return None

    async def forks(self, log: str) -> tuple[ForkView, ...]:  # noqa: ARG002 - the port's words
        return ()

    async def public_key(self, log: str) -> Mapping[str, str]:  # noqa: ARG002 - the port's words
        return {}


@dataclass
class World:
    """One gateway."""

    store: GatewayStore
    workflows: Workflows
    clock: Callable[[], datetime]
    identity: StubIdentity = field(default_factory=StubIdentity)
    exchange: StubExchange = field(default_factory=StubExchange)
    licenses: StubLicenses = field(default_factory=StubLicenses)
    lease_seconds: float = 30
    poll_seconds: float = 0.05
    bounds: Bounds = BOUNDS
    telemetry: Telemetry = field(default_factory=lambda: Telemetry("gateway"))

    def __post_init__(self) -> None:
        self.bell = Bell()
        self.engine = Engine(self.store, self.workflows, self.bell, self.telemetry, clock=self.clock)
        prefiller = Prefiller(self.identity, self.exchange, self.workflows)
        self.scanner = EicarScanner()
        materials = MaterialDesk(self.engine, self.licenses, self.bounds, self.scanner)
        drafts = Drafts(self.engine, prefiller, self.bounds, materials)
        sources = Sources(self.identity, self.licenses, NoLedgers(), NoCorrections(), ConsentsFake())
        self.service = GatewayService(self.engine, drafts, sources, poll_seconds=self.poll_seconds, sandbox=True)
        self.life = Life(self.engine, prefiller, materials)
        self.steps = StepDesk(self.engine, self.exchange)
        self.outside = OutsideDesk(self.engine)
        self.operators = OperatorDesk(self.engine)
        self.recalls = RecallDesk(self.engine)
        self.tasks = TaskDesk(self.engine, lease_seconds=self.lease_seconds, poll_seconds=self.poll_seconds)
        store = cast(InboxStore, self.store)  # of those over SQL
        self.dealings = DealingDesk(self.engine, store, lease_seconds=self.lease_seconds)
        self.timers = TimerDesk(self.engine, poll_seconds=self.poll_seconds)


def _or_trouble(values: T, trouble: Exception | None) -> T:
    if trouble is not None:
        raise trouble
    return values
