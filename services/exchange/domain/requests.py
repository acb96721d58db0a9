# SPDX-License-Identifier: Apache-2.0
"""A question that a provider's people answer: asked now, leased by somebody there, answered or refused within its clock."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.exchange.domain.answer import Scalar
from services.exchange.domain.inquiry import Subject
from services.kit.errors import Code, NotFound, Refusal

LEASE = timedelta(minutes=15)
LEASED_MAX = 50
"""Requests that one call leases."""
OPEN_MAX = 1_000
"""Requests of one agency to one resource that wait."""
ANSWER = "request.answer"
"""The limit of the jurisdiction, see `limits/*.yaml`."""


class DataRequestNotFound(NotFound):
    """There is no such request of the caller's, or it is no longer kept."""


class DataRequestPending(Refusal):
    """Nobody has answered yet."""


class DataRequestRefused(Refusal):
    """The provider refused; the message says why in its words."""


class DataRequestAnswered(Refusal):
    """Somebody answered before, and otherwise."""


class LeaseLost(Refusal):
    """The lease has run out and somebody else has the request, or may have it."""

    code = Code.ABORTED


class TooManyDataRequests(Refusal):
    """So many requests of the agency wait for this resource already."""

    code = Code.RESOURCE_EXHAUSTED


class RequestState(StrEnum):
    """Where a request stands."""

    OPEN = "open"
    ANSWERED = "answered"
    NOT_FOUND = "not_found"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider's people said, kept sealed: values, or why not."""

    values: dict[str, Scalar] | None = field(default=None, repr=False)
    grounds: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class DataRequest:
    """One question. `due_time` as its clock says; a late answer is still one."""

    id: str
    agency: str
    provider: str
    resource: str
    purpose: str
    case_id: str
    fields: tuple[str, ...]
    subject: Subject
    subject_id: str
    basis: str
    create_time: datetime
    expire_time: datetime
    due_time: datetime | None = None
    overdue: bool = False
    state: RequestState = RequestState.OPEN
    lease_id: str = ""
    lease_time: datetime | None = None
    answer: Answer | None = None

    def same_question(self, other: "DataRequest") -> bool:
        """Tell whether two ask for the same."""
        mine = (self.agency, self.resource, self.purpose, self.case_id, self.subject_id)
        same = mine == (other.agency, other.resource, other.purpose, other.case_id, other.subject_id)
        return same and self.fields == other.fields


@dataclass(frozen=True, slots=True)
class DataRequestChanged:
    """A request was made, answered, refused, or has become overdue. Nothing of its subject or of the answer."""

    id: str
    resource: str
    provider: str
    agency: str
    state: RequestState
    overdue: bool


def changed(request: DataRequest) -> DataRequestChanged:
    """Tell how it stands."""
    return DataRequestChanged(
        request.id, request.resource, request.provider, request.agency, request.state, request.overdue
    )


def leased(before: DataRequest, lease_id: str, *, now: datetime) -> DataRequest:
    """Let one of the provider's people work on it for a while; nobody else gets it meanwhile."""
    return replace(before, lease_id=lease_id, lease_time=now)


def answered(before: DataRequest, state: RequestState, answer: Answer, *, lease_id: str, now: datetime) -> DataRequest:
    """Answer or refuse. Whoever still holds the newest lease may, even late. Raises LeaseLost, DataRequestAnswered."""
    if before.state is not RequestState.OPEN:
        raise DataRequestAnswered(f"The request is {before.state.value}.")
    if not lease_id or before.lease_id != lease_id:
        raise LeaseLost("Somebody else has the request.", remedy="Lease it again.")
    return replace(before, state=state, answer=answer, lease_time=now)


def collectable(request: DataRequest, agency: str) -> dict[str, Scalar]:
    """Give the values to who asked. Raises DataRequestNotFound, DataRequestPending, DataRequestRefused, NotFound."""
    if request.agency != agency:
        raise DataRequestNotFound("There is no such request of this agency.")
    if request.state is RequestState.OPEN:
        raise DataRequestPending("Nobody has answered yet.")
    if request.state is RequestState.REFUSED:
        raise DataRequestRefused("The provider refused; GetDataRequest tells its grounds.")
    if request.answer is None or request.answer.values is None:
        raise NotFound("The provider has no record of the subject.")
    return request.answer.values
