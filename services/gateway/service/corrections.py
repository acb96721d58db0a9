# SPDX-License-Identifier: Apache-2.0
"""A resident disputes a value that a department keeps about them (校核纠错); the exchange carries it to the provider."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from services.gateway.domain.history import ValueCorrected
from services.gateway.domain.refusals import CaseNotFound
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.views import AgencyView
from services.kit.paging import Page
from services.kit.text import Text


@dataclass(frozen=True, slots=True)
class ProofView:
    """What stands behind a claim: `license` by its identifier, `document` by its digest."""

    kind: str
    reference: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DisputeValue:
    """Say that a value is wrong. The same caller and key again give the same correction."""

    resource: str
    field_name: str
    claimed: str = field(repr=False)
    """What is right; empty where the resident only knows that the value is wrong."""
    grounds: str = field(repr=False)
    proofs: tuple[ProofView, ...] = field(repr=False)
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class CorrectionSummary:
    """One row of a resident's corrections; without a word of what is disputed."""

    correction_id: str
    resource: str
    field_name: str
    provider: AgencyView
    state: str
    """`open`, `confirmed`, `rejected`, `withdrawn` or `closed`."""
    opened: datetime
    answered: datetime | None
    closed: datetime | None
    extended: bool
    late: bool
    due: datetime | None
    """The first moment that is too late for the provider's answer; None once it is answered."""


@dataclass(frozen=True, slots=True)
class CorrectionView(CorrectionSummary):
    """One with everything in it."""

    provisional: bool
    derivation: tuple[Text, ...]
    """How the due date was counted."""
    claimed: str = field(repr=False)
    grounds: str = field(repr=False)
    proofs: tuple[ProofView, ...] = field(repr=False)
    rejection: str
    """Machine reason of a rejection; empty otherwise."""
    explanation: str = field(repr=False)
    receivers: int
    """How many departments had received the value and were told."""
    acknowledged: int


class CorrectionSource(Protocol):
    """Exchange, in the gateway's words, for the calling resident. Raises Refusal or Unavailable."""

    async def open(self, command: DisputeValue) -> CorrectionView:
        """Dispute a value."""

    async def list(self, page_size: int, page_token: str) -> Page[CorrectionSummary]:
        """The caller's own, newest first."""

    async def read(self, correction_id: str) -> CorrectionView:
        """One of the caller's own."""

    async def withdraw(self, correction_id: str, idempotency_key: str) -> CorrectionView:
        """No longer dispute it."""


class RecallDesk:
    """Cases hear that a value they used was wrong."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def flag(self, case_id: str, correction_id: str, resource: str, field_name: str, *, delivery_id: str) -> None:
        """Write it into the history of a case that hasn't ended; departments and the applicant see it there.

        Whoever asked may have named a case of their own: what is none of ours is left alone.
        """

        async def work(turn: Turn) -> None:
            if not await turn.tx.first_sight(delivery_id):
                return
            try:
                file, plan = await turn.load(case_id)
            except CaseNotFound:
                return
            if file.state.ended is None:
                found = ValueCorrected(self._engine.clock(), correction_id, resource, field_name)
                await turn.apply(file, plan, [found])

        await self._engine.transact(work)
