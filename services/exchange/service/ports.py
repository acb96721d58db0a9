# SPDX-License-Identifier: Apache-2.0
"""What the use cases need from outside, in their own words."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol, runtime_checkable

from services.exchange.domain.change import Notice
from services.exchange.domain.grant import Grant
from services.exchange.domain.inquiry import Inquiry, KeptAnswer, Query
from services.exchange.domain.resource import Resource
from services.exchange.domain.settings import AdapterKind
from services.exchange.domain.version import NOBODY, By
from services.kit.ledger.access import Access, Receipt
from services.kit.paging import Page


class Adapter(Protocol):
    """One resource of one provider, ready to be asked."""

    async def ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        """Give the provider's record by field name, None where it has none.

        Raises:
            ProviderUnavailable: no answer.
            ProviderBusy: no room for one more question; it was not asked.
            ProviderAnswerInvalid: an answer that can't be read.
        """

    async def close(self) -> None:
        """Let go of connections; questions under way may fail."""


@runtime_checkable
class Probed(Protocol):
    """An adapter that can tell whether its provider is there, without asking about anybody."""

    async def probe(self) -> None:
        """Return if it is. Raises whatever its driver raises where it is not."""


AdapterFactory = Callable[[Resource], Adapter]
Adapters = Mapping[AdapterKind, AdapterFactory]


@dataclass(frozen=True, slots=True)
class Known:
    """A person as the broker needs it: whom the leaf is about, and what the provider is asked by."""

    subject_id: str
    number: str = field(repr=False)


class Persons(Protocol):
    """Identity, in the exchange's words."""

    async def by_subject_id(self, subject_id: str, *, purpose: str, basis: str, on_behalf_of: str, case_id: str) -> str:
        """Give the person's number. Raises RemoteRefusal where there is no such person, Unavailable."""

    async def by_number(self, number: str, *, purpose: str, case_id: str) -> str:
        """Give the subject id that a number belongs to, empty where nobody has it. Raises Unavailable."""


class Consents(Protocol):
    """Consents of residents, where a grant goes by them."""

    async def must_hold(
        self, *, subject_id: str, grantee: str, resource: str, purpose: str, fields: Sequence[str]
    ) -> None:
        """Return if the subject's consent covers these fields (or questions) now. Raises ConsentMissing, Unavailable."""


class Steps(Protocol):
    """The gateway, in the exchange's words."""

    async def question(self, case_id: str, step_id: str, attempt: int) -> Query | None:
        """Give the input of a FETCH step, None once it is answered or overtaken.

        Raises RequestInvalid where the input can't be read, Unavailable where the gateway does not answer.
        """


class Ledger(Protocol):
    """The service's own ledger."""

    async def append(self, access: Access) -> Receipt:
        """Make one leaf durable."""

    def account(self, access: Access) -> AbstractAsyncContextManager[Any]:
        """Account for what happens inside: an answer, or the reason why there was none."""


class Transaction(Protocol):
    """One change: rows, guard, facts and leaf together or not at all."""

    async def first_sight(self, id: str, *asked: str) -> bool:
        """Tell whether this request or delivery has had no effect yet. Raises RequestIdReused where it asked for something else."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""

    async def leaf(self, access: Access) -> Receipt:
        """Add a leaf with this change."""

    async def resource(self, code: str) -> Resource:
        """Read a resource and lock it. Raises ResourceNotFound."""

    async def find_resource(self, code: str) -> Resource | None:
        """Read a resource and lock it, None where there is none."""

    async def save_resource(self, resource: Resource, *, now: datetime, by: By = NOBODY) -> None:
        """Write a resource, new or changed."""

    async def grants_on(self, code: str, *, after: tuple[datetime, str] | None, limit: int) -> Sequence[Grant]:
        """Give grants on a resource in the order of their making, those that follow `after`."""

    async def save_notices(self, notices: Sequence[Notice]) -> None:
        """Put notices into inboxes; one that is there says what holds now."""

    async def count_calls(self, calls: Mapping[str, int], day: date) -> None:
        """Count calls under grants without a quota."""

    async def grant(self, grant_id: str) -> Grant:
        """Read a grant and lock it. Raises GrantNotFound."""

    async def find_grant(self, grant_id: str) -> Grant | None:
        """Read a grant and lock it, None where there is none."""

    async def grants_beside(self, draft: Grant) -> int:
        """Count the grants of the same agency on the same resource that hold when this one is made."""

    async def add_grant(self, grant: Grant, *, request_id: str) -> None:
        """Write a new grant."""

    async def save_revocation(self, grant: Grant, *, grounds: str) -> None:
        """Write that a grant was taken back, and why."""

    async def keep_answer(self, answer: KeptAnswer, *, expire_time: datetime) -> None:
        """Keep the answer of a step, sealed."""

    async def take_quota(self, grant_id: str, day: date, *, calls: int, quota: int) -> int:
        """Count up to `calls` calls of this day, never beyond `quota`; give how many were counted."""

    async def return_quota(self, grant_id: str, day: date, *, calls: int) -> None:
        """Give back calls that were counted and not made."""

    async def drop_answers(self, *, before: datetime, limit: int) -> int:
        """Delete answers whose time was over before this moment; give how many."""

    async def drop_counts(self, *, before: date) -> None:
        """Delete the counts of days before this one."""


class Store(Protocol):
    """The exchange's rows."""

    @property
    def ledger(self) -> Ledger:
        """The ledger beside them."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction."""

    def digest(self, payload: bytes) -> str:
        """Give the digest of an answer, for its leaf, which blinds it."""

    def subject_mark(self, kind: str, value: str) -> str:
        """Give the keyed mark of a number or code, from which neither can be read back."""

    async def read_resource(self, code: str) -> Resource:
        """Read a resource. Raises ResourceNotFound."""

    async def list_resources(self, *, page_size: int, page_token: str) -> Page[Resource]:
        """Give resources by code."""

    async def list_grants(self, *, grantee: str, resource: str, page_size: int, page_token: str) -> Page[Grant]:
        """Give grants, newest first; empty texts do not narrow."""

    async def grants_of(self, grantee: str, resource: str) -> Sequence[Grant]:
        """Give all grants of a pair that were not revoked, newest first."""

    async def calls_counted(self, grant_id: str, day: date) -> int:
        """Tell how many calls of a day are counted against a grant's quota."""

    async def changed_since(self, moment: datetime, *, limit: int) -> "Touched | None":
        """Tell what was written since a moment; None where it is more than `limit` resources or pairs."""

    async def read_answer(self, answer_id: str, *, now: datetime) -> KeptAnswer:
        """Open a kept answer. Raises AnswerNotFound."""


@dataclass(frozen=True, slots=True)
class Touched:
    """Codes of the resources that changed, and the (grantee, resource) pairs whose grants did."""

    resources: frozenset[str]
    pairs: frozenset[tuple[str, str]]
