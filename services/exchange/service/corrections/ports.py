# SPDX-License-Identifier: Apache-2.0
"""What corrections need of the store, in their own words."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from services.exchange.domain.corrections import Correction, CorrectionState, Recall
from services.exchange.domain.grant import Grant
from services.exchange.domain.resource import Resource
from services.kit.ledger.access import Access, Leaf, Receipt
from services.kit.paging import Page

ANSWER = "correction.answer"
ACKNOWLEDGE = "correction.acknowledge"
SWEEP = "correction.sweep"


def acknowledge_owner(correction_id: str, agency: str) -> str:
    """Name the deadline of one receiver."""
    return f"{correction_id}:{agency}"


class Dispute(NamedTuple):
    """As much of a correction as queriers are told from; `subject` is the ledger's pseudonym."""

    correction_id: str
    resource: str
    subject: str
    field_name: str
    disputed: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """A correction and how many had received the value and have acknowledged."""

    correction: Correction
    receivers: int = 0
    acknowledged: int = 0


@dataclass(frozen=True, slots=True)
class DueCorrection:
    """A correction and by when it is to be answered."""

    correction: Correction
    due: datetime | None


@dataclass(frozen=True, slots=True)
class DueRecall:
    """A recall, what it is about, and by when it is to be acknowledged."""

    recall: Recall
    resource: str
    field_name: str
    due: datetime | None


@dataclass(frozen=True, slots=True)
class CorrectionFilter:
    """Which corrections are wanted; what is empty doesn't narrow."""

    claimant: str = ""
    provider: str = ""
    state: CorrectionState | None = None
    late: bool = False


class CorrectionTx(Protocol):
    """One change."""

    async def first_sight(self, id: str, *asked: str) -> bool:
        """Tell whether this request or delivery has had no effect yet. Raises RequestIdReused where it asked for something else."""

    async def first_time(self, id: str) -> bool:
        """Tell whether this has not happened yet, whoever causes it."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""

    async def leaf(self, access: Access) -> Receipt:
        """Add a leaf with this change."""

    async def find_correction(self, correction_id: str) -> Correction | None:
        """Read and lock; recalls of it change only under this lock."""

    async def add_correction(self, new: Correction) -> bool:
        """Insert; False where the claimant disputes this value already."""

    async def save_correction(self, after: Correction, *, now: datetime) -> None:
        """Write how it stands."""

    async def corrections_about(self, subject: str, *, limit: int) -> Sequence[Correction]:
        """Read and lock some about a subject, by the ledger's name."""

    async def open_corrections(self, claimant: str) -> int:
        """Count those of a claimant that are open."""

    async def find_recall(self, correction_id: str, agency: str) -> Recall | None:
        """Read and lock."""

    async def save_recall(self, after: Recall) -> None:
        """Insert or replace."""

    async def outstanding_recalls(self, correction_id: str) -> int:
        """Count those that nobody has acknowledged."""


class Leaves(Protocol):
    """The ledger beside the rows."""

    def also_forget(self, forget: Callable[[Any, str], Awaitable[None]]) -> None:
        """Have it called in the transaction that erases a person's key, with the name that leaves call the person by."""

    async def append(self, access: Access) -> Receipt:
        """Make one leaf durable."""

    async def leaves_about(self, subject_id: str, *, before: int | None, limit: int) -> Sequence[Leaf]:
        """Give the newest leaves about somebody, below an index; a body that is archived is empty."""


class CorrectionStore(Protocol):
    """The exchange's rows, as corrections need them."""

    @property
    def ledger(self) -> Leaves:
        """The ledger beside them."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Open a `CorrectionTx`."""

    def pseudonym(self, subject_id: str) -> str:
        """Give the ledger's name of a subject."""

    async def grants_of(self, grantee: str, resource: str) -> Sequence[Grant]:
        """Give a pair's grants that were not revoked."""

    async def read_resource(self, code: str) -> Resource:
        """Read a resource of the catalogue. Raises ResourceNotFound."""

    async def read_correction(self, correction_id: str) -> Counted | None:
        """Read one, None where there is none."""

    async def list_corrections(
        self, wanted: CorrectionFilter, *, page_size: int, page_token: str
    ) -> Page[DueCorrection]:
        """Give corrections, newest first."""

    async def list_recalls(
        self, *, agency: str, late: bool, acknowledged: bool, page_size: int, page_token: str
    ) -> Page[DueRecall]:
        """Give recalls, oldest first."""

    async def read_recall(self, correction_id: str, agency: str) -> DueRecall | None:
        """Read one, None where there is none."""

    async def disputes_since(self, moment: datetime | None) -> Sequence[Dispute]:
        """Give what changed since a moment; all open ones for None."""

    async def dispute(self, correction_id: str) -> Dispute | None:
        """Give the same of one."""
