# SPDX-License-Identifier: Apache-2.0
"""The use cases over a store in memory, with a clock that a test can move."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from services.kit.caller import Caller, CallerKind
from services.licenses.service import Changing, Ending, Issued, IssueLicense, Issuing, Reading, Steps, Verifying
from tests.support.licenses_memory import MemoryLicensesStore
from tests.support.licenses_paper import BIRTH, CHILD, HOSPITAL, NOW, Paper

CHILD_ID = "0d1c2b3a-0000-4000-8000-000000000001"
MOTHER_ID = "0d1c2b3a-0000-4000-8000-000000000002"
RIGHTS = frozenset({"licenses.issue", "licenses.read", "licenses.suspend", "licenses.revoke", "licenses.verify"})


def agency(uscc: str, rights: frozenset[str] = RIGHTS) -> Caller:
    return Caller(CallerKind.AGENCY, uscc, rights, f"spiffe://tongban/agency/{uscc}", uscc)


def citizen(subject_id: str) -> Caller:
    return Caller(CallerKind.CITIZEN, subject_id, actor="spiffe://tongban/service/gateway")


@dataclass
class Desk:
    """Everything that a test of a use case needs."""

    paper: Paper
    store: MemoryLicensesStore = field(default_factory=MemoryLicensesStore)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.issuing = Issuing(self.store, self.paper.catalogue, self.paper.signers, clock=self.clock)
        self.changing = Changing(self.store, clock=self.clock)
        self.reading = Reading(self.store, clock=self.clock)
        self.verifying = Verifying(self.store, self.paper.catalogue, self.paper.examiner(), clock=self.clock)
        self.ending = Ending(self.store, clock=self.clock)
        self.steps = Steps(self.store, self.issuing, clock=self.clock)

    def clock(self) -> datetime:
        return self.now

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    async def issued(self, request_id: str = "r-1", serial: str = "Z1", holder_id: str = CHILD_ID) -> Issued:
        command = IssueLicense(request_id, BIRTH, holder_id, serial, CHILD)
        return await self.issuing.issue(command, agency(HOSPITAL))

    def facts(self) -> list[str]:
        return [type(fact).__name__ for fact in self.store.rows.facts]

    def outcomes(self) -> list[tuple[str, str]]:
        return [(leaf.operation.removeprefix("licenses."), leaf.outcome) for leaf in self.store.ledger.leaves]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Paper.made(tmp_path))
