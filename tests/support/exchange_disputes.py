# SPDX-License-Identifier: Apache-2.0
"""Corrections around the exchange's real store, with a clock that tests turn and a ledger that knows who received what."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import select
from tongban.exchange.v1 import corrections_events_pb2 as facts

from services.exchange.domain.corrections import Proof, ProofKind, RejectionGround
from services.exchange.domain.inquiry import Subject, SubjectKind
from services.exchange.service.corrections import ClaimService, Disputes, OpenCorrection, RecallService, Reply
from services.exchange.service.corrections.claims import CorrectionView
from services.exchange.service.subjects import Subjects
from services.exchange.store import ExchangeStore
from services.kit.calendar import Deadlines, published, read_limits
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.ids import new_id
from services.kit.ledger.access import Access
from tests.support.exchange_stored import opened
from tests.support.exchange_world import (
    CITIZEN,
    HOSPITAL,
    HOUSEHOLD,
    NUMBER,
    POLICE,
    SUBJECT_ID,
    PersonsFake,
    a_grant,
    household,
)

SCHOOL = "11990100000001062A"
TAX = "11990100000001070B"
LIMITS = Path(__file__).resolve().parents[2] / "services" / "exchange" / "limits"
START = datetime.fromisoformat("2026-03-02T09:00:00+08:00")
PROOFS = (Proof(ProofKind.DOCUMENT, "a" * 64),)


def agency(uscc: str, *rights: str) -> Caller:
    """A department that may ask, read and provide."""
    return Caller(
        CallerKind.AGENCY,
        uscc,
        frozenset(rights or ("exchange.query", "exchange.read", "exchange.provide")),
        actor=f"spiffe://tongban/agency/{uscc}",
        agency=uscc,
    )


PROVIDER = agency(POLICE)
RECEIVER = agency(HOSPITAL)


def claim(**changes: Any) -> OpenCorrection:
    """A resident says that the address is wrong."""
    given: dict[str, Any] = {
        "request_id": new_id(),
        "resource": HOUSEHOLD,
        "field_name": "address",
        "subject": None,
        "claimed": "2 Autumn Road",
        "grounds": "We moved in March.",
        "proofs": PROOFS,
        **changes,
    }
    return OpenCorrection(**given)


ABOUT_NUMBER = Subject(SubjectKind.NUMBER, NUMBER)


class Disputed:
    """Everything wired."""

    def __init__(self, store: ExchangeStore) -> None:
        self.now = START
        self.store = store
        self.persons = PersonsFake()
        subjects = Subjects(self.persons, store, monotonic=lambda: 0.0)
        self.deadlines = Deadlines(store, published())
        self.disputes = Disputes(store, clock=self.clock)
        limits = read_limits(LIMITS)
        self.recalls = RecallService(store, subjects, self.deadlines, limits, clock=self.clock, recall_days=1095)
        self.claims = ClaimService(
            store,
            subjects,
            recalls=self.recalls,
            disputes=self.disputes,
            deadlines=self.deadlines,
            limits=limits,
            clock=self.clock,
        )

    def clock(self) -> datetime:
        return self.now

    def later(self, **length: float) -> None:
        """Let time pass."""
        self.now += timedelta(**length)

    async def rung(self) -> None:
        """Ring everything that is due."""
        while await self.deadlines.ring():
            pass

    async def gave(self, to: str, *, case_id: str = "", **changes: Any) -> None:
        """Leave the leaf of an answer that a department got."""
        given: dict[str, Any] = {
            "operation": "query",
            "subject_id": SUBJECT_ID,
            "purpose": "birth",
            "basis": "PIPL art. 13(1)(3)",
            "fields": ("address",),
            "resource": HOUSEHOLD,
            "case_id": case_id,
            **changes,
        }
        with acting_as(changes.pop("caller", None) or agency(to)):
            given.pop("caller", None)
            await self.store.ledger.append(Access(**given))

    async def opened(self, caller: Caller = CITIZEN, **changes: Any) -> str:
        """Open a correction; give its id. A department has a grant for what it disputes."""
        if caller.kind is CallerKind.AGENCY:
            await self.granted(caller.agency)
        with acting_as(caller):
            return (await self.claims.open(claim(**changes), caller)).counted.correction.correction_id

    async def granted(self, to: str) -> None:
        """Let a department see addresses."""
        given = a_grant(grantee=to, create_time=self.now, expire_time=self.now + timedelta(days=30))
        async with self.store.transaction() as tx:
            await tx.add_grant(given, request_id=new_id())

    async def confirmed(self, correction_id: str, *, request_id: str = "") -> CorrectionView:
        """The provider corrects the value."""
        with acting_as(PROVIDER):
            reply = Reply(request_id or new_id(), correction_id, "Corrected in the register.")
            return await self.claims.confirm(reply, PROVIDER)

    async def rejected(self, correction_id: str) -> CorrectionView:
        """The provider lets it stand."""
        with acting_as(PROVIDER):
            reply = Reply(new_id(), correction_id, "The register is right.", RejectionGround.VALUE_CORRECT)
            return await self.claims.reject(reply, PROVIDER)

    async def told(self, kind: type[Message]) -> list[Any]:
        """Facts of one kind, oldest first."""
        outbox = self.store.tables.outbox
        async with self.store.reading() as connection:
            rows = (await connection.execute(select(outbox).order_by(outbox.c.id))).all()
        return [kind.FromString(row.value) for row in rows if row.type == kind.DESCRIPTOR.full_name]

    async def clocks(self) -> Sequence[tuple[str, int, int, int]]:
        """What clocks said: whom, which duty, which bell, which number."""
        rang = await self.told(facts.CorrectionClockRang)
        return [(each.agency, each.duty, each.bell, each.number) for each in rang]


@asynccontextmanager
async def disputed(database: str, folder: Path) -> AsyncIterator[Disputed]:
    """The household register is in the catalogue; time stands still unless a test moves it."""
    now: list[Disputed] = []
    async with opened(database, folder, clock=lambda: now[0].now if now else START) as store:
        world = Disputed(store)
        now.append(world)
        async with store.transaction() as tx:
            await tx.save_resource(household(), now=START)
        yield world
