# SPDX-License-Identifier: Apache-2.0
"""The exchange's calls over its real store, on a SQLite file or on PostgreSQL, with providers and persons that a test puts in."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from services.exchange import config
from services.exchange.domain.grant import Grant
from services.exchange.domain.inquiry import Inquiry, Subject, SubjectKind
from services.exchange.domain.resource import Resource
from services.exchange.domain.settings import AdapterKind
from services.exchange.domain.terms import Method, Terms
from services.exchange.events import encode
from services.exchange.service.batch_asking import Asker
from services.exchange.service.batches import BatchService
from services.exchange.service.bell import Bell
from services.exchange.service.broker import Broker
from services.exchange.service.catalogue import CatalogueService
from services.exchange.service.change_stream import ChangeStreams
from services.exchange.service.consents import ConsentService, GiveConsent
from services.exchange.service.corrections import Disputes
from services.exchange.service.grants import GrantService
from services.exchange.service.previews import PreviewService
from services.exchange.service.providers import Limits, Providers
from services.exchange.service.providers import Terms as ProviderTerms
from services.exchange.service.queries import QueryService
from services.exchange.service.quotas import Quotas
from services.exchange.service.requests import RequestService
from services.exchange.service.rulebook import Rulebook
from services.exchange.service.subjects import Subjects
from services.exchange.service.subscriptions import SubscriptionService
from services.exchange.store import ExchangeStore
from services.kit.calendar import Deadlines, published, read_limits
from services.kit.crypto import Keyring, SigningKey
from services.kit.ids import new_id
from tests.support.exchange_world import (
    HOSPITAL,
    HOUSEHOLD,
    NOW,
    OPERATOR,
    OWN_PER_DAY,
    PersonsFake,
    ProviderFake,
    create_grant,
    household,
)

LIMITS = Path(config.__file__).parent / "limits"


def person(at: int) -> Subject:
    """The subject at a place of a list."""
    return Subject(SubjectKind.SUBJECT_ID, f"5e0c5e05-2b1c-4b6f-9a35-{at:012d}")


def number(at: int) -> str:
    """Whose number it is; synthetic, no real number begins with 99."""
    return f"9901001990{at:08d}"


def a_consent(now: datetime, **changes: Any) -> GiveConsent:
    """A resident lets the hospital have their address for a month."""
    command = GiveConsent(new_id(), HOSPITAL, HOUSEHOLD, "birth", ("address",), now + timedelta(days=30))
    return replace(command, **changes)


class PersonsOfPlaces(PersonsFake):
    """As many persons as there are places."""

    async def by_subject_id(self, subject_id: str, **_: str) -> str:
        self._ask("number")
        return number(int(subject_id[-12:]))


@dataclass
class RegisterFake(ProviderFake):
    """A register that has a record of everybody but those without, and counts who was asked about."""

    without: set[str] = field(default_factory=set)
    padding: str = ""

    async def ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        self.asked.append(inquiry)
        if self.answer is not None:
            return await self.answer(inquiry)
        return self.record_of(inquiry)

    def record_of(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        if inquiry.subject_key in self.without:
            return None
        return {"household_number": inquiry.subject_key[-6:], "address": self.padding + inquiry.subject_key[-3:]}

    @property
    def keys(self) -> list[str]:
        return [inquiry.subject_key for inquiry in self.asked]


@dataclass(frozen=True)
class _Settings:
    database: str


@dataclass
class CallsWorld:
    """Everything wired; time stands still unless a test moves it. `store` is opened by `calls_world`."""

    folder: Path
    url: str
    now: datetime = NOW
    seconds: float = 1000.0

    def __post_init__(self) -> None:
        self.settings = _Settings(self.url)
        self.keyring = Keyring.open(self.folder / "keys")
        self.signing_key = SigningKey.open(self.folder / "keys", "ledger")
        self.persons = PersonsOfPlaces()
        self.provider = RegisterFake()

    def wire(self, store: ExchangeStore) -> None:
        """Make the use cases over a store."""
        self.store = store
        self.rulebook = Rulebook(
            store,
            clock=self.clock,
            monotonic=self.monotonic,
            age_seconds_max=1e9,
            pairs_max=100,
            is_working_day=lambda _: True,
        )
        self.quotas = Quotas(store, own_per_day=OWN_PER_DAY, clock=self.clock, monotonic=self.monotonic)
        self.providers = Providers(
            dict.fromkeys(AdapterKind, lambda _: self.provider),
            monotonic=self.monotonic,
            limits=Limits(),
            terms=ProviderTerms(self.clock),
        )
        self.subjects = Subjects(self.persons, store, monotonic=self.monotonic)
        self.consents = ConsentService(store, self.rulebook, clock=self.clock, age_seconds_max=1e9)
        self.broker = Broker(self.rulebook, self.subjects, self.quotas, self.providers, self.consents, clock=self.clock)
        self.catalogue = CatalogueService(store, self.rulebook, clock=self.clock, region="990100")
        self.grants = GrantService(store, self.rulebook, clock=self.clock)
        self.disputes = Disputes(store, clock=self.clock)
        asker = Asker(self.rulebook, self.subjects, self.broker, disputes=self.disputes, digest=store.digest)
        self.previews = PreviewService(
            store, self.rulebook, self.subjects, self.broker, disputes=self.disputes, clock=self.clock, days=30
        )
        self.queries = QueryService(
            store, self.rulebook, self.subjects, self.broker, disputes=self.disputes, clock=self.clock
        )
        self.bell = Bell()
        self.subscriptions = SubscriptionService(
            store, self.rulebook, self.subjects, self.bell, clock=self.clock, days=7
        )
        self.streams = ChangeStreams(store, self.rulebook, self.broker, self.bell, disputes=self.disputes)
        self.deadlines = Deadlines(store, published())
        self.requests = RequestService(
            store,
            self.rulebook,
            self.subjects,
            self.quotas,
            self.consents,
            disputes=self.disputes,
            deadlines=self.deadlines,
            limits=read_limits(LIMITS),
            region="990100",
            clock=self.clock,
            days=90,
        )
        self.batches = BatchService(store, asker, clock=self.clock, hours=24)

    def clock(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds

    async def granted(self, *, resource: Resource | None = None, **changes: Any) -> Grant:
        """Store the household register and a grant of the hospital on it."""
        await self.rulebook.refresh()
        await self.catalogue.put_resource(resource or household(), OPERATOR)
        changes = {"terms": Terms(methods=tuple(Method)), **changes}
        return await self.grants.create(create_grant(**changes), OPERATOR)

    async def leaves(self) -> list[dict[str, Any]]:
        """What the ledger holds."""
        found: list[dict[str, Any]] = []
        while True:
            leaves, _ = await self.store.ledger.leaves(len(found), 1000)
            if not leaves:
                return found
            found += [json.loads(leaf.body) for leaf in leaves]

    async def told(self) -> list[str]:
        """The types of the facts that wait in the outbox, oldest first."""
        table = self.store.tables.outbox
        async with self.store.reading() as connection:
            rows = await connection.execute(table.select().order_by(table.c.id))
        return [row.type.rpartition(".")[2] for row in rows]


@asynccontextmanager
async def calls_world(folder: Path, url: str = "") -> AsyncIterator[CallsWorld]:
    """A world of its own; on a SQLite file in the folder where no database is named."""
    world = CallsWorld(folder, url or f"sqlite:///{folder}/exchange.sqlite")
    async with ExchangeStore.open(world, encode=encode) as store:
        world.wire(store)
        yield world
