# SPDX-License-Identifier: Apache-2.0
"""Changes of the catalogue: proposed by providers, published by the sharing authority, in effect after a notice.

Departments compile their entries, the authority of the same level reviews and publishes them (Order 809, chapter 3); a
provider may not stop or change what is shared at will, so that whoever loses something is told beforehand.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from services.exchange.domain.grant import Grant
from services.exchange.domain.permit import compile_grant
from services.exchange.domain.refusals import ChangeNotOpen, NoticeTooShort
from services.exchange.domain.resource import Resource, SharingClass
from services.exchange.domain.settings import AdapterKind, ConnectorSettings, RestSettings
from services.kit.errors import RequestInvalid, Violation

TIMEOUT_MS = 3_000
"""Longest wait for a provider whom no operator gave another."""


class ChangeState(StrEnum):
    """Where a change is. The first two are open: a resource has one open change at a time."""

    PROPOSED = "proposed"
    SCHEDULED = "scheduled"
    IN_EFFECT = "in_effect"
    RETURNED = "returned"
    WITHDRAWN = "withdrawn"
    OVERTAKEN = "overtaken"


@dataclass(frozen=True, slots=True)
class Change:
    """A version of a resource that a provider proposes. `base_revision` 0: the resource is new."""

    change_id: str
    resource: Resource
    base_revision: int
    note: str
    proposer: str
    submit_time: datetime
    state: ChangeState = ChangeState.PROPOSED
    review_note: str = ""
    urgent_basis: str = ""
    effect_time: datetime | None = None

    @property
    def code(self) -> str:
        """Code of the resource."""
        return self.resource.code

    @property
    def open(self) -> bool:
        """Whether it may still come into effect."""
        return self.state in {ChangeState.PROPOSED, ChangeState.SCHEDULED}


@dataclass(frozen=True, slots=True)
class ResourceChangeMoved:
    """A change was proposed, scheduled, came into effect, or won't."""

    change_id: str
    resource: str
    state: ChangeState
    effect_time: datetime | None


@dataclass(frozen=True, slots=True)
class HoldersNotified:
    """The holders of grants on a resource have a notice in their inbox."""

    change_id: str
    resource: str
    effect_time: datetime
    agencies: int


class NoticeState(StrEnum):
    """What has become of the change that a notice is about."""

    ANNOUNCED = "announced"
    IN_EFFECT = "in_effect"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Loss:
    """What one grant no longer gives: fields to see, fields to compare, questions. All empty: it gives what it gave."""

    grant_id: str
    grantee: str
    fields: tuple[str, ...]
    verify_fields: tuple[str, ...]
    questions: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.verify_fields or self.questions)


@dataclass(frozen=True, slots=True)
class Notice:
    """What an agency is told of a change: what it loses over all its grants on the resource."""

    change_id: str
    agency: str
    resource: str
    to_revision: int
    fields: tuple[str, ...]
    verify_fields: tuple[str, ...]
    questions: tuple[str, ...]
    state: NoticeState
    urgent_basis: str
    create_time: datetime
    effect_time: datetime
    acknowledge_time: datetime | None = None


class Reach(NamedTuple):
    """What a grant lets see, compare and ask."""

    fields: frozenset[str] = frozenset()
    verify_fields: frozenset[str] = frozenset()
    questions: frozenset[str] = frozenset()


def reach(given: Grant, resource: Resource) -> Reach:
    """Give what a grant opens of a resource, as it is compiled on the way of a call; its hours don't count."""
    if resource.retired or resource.sharing_class is SharingClass.REFUSED:
        return Reach()
    compiled = compile_grant(given, resource, is_working_day=lambda _: True)
    return Reach(compiled.mask, compiled.verify_mask, frozenset(compiled.questions))


def loss(given: Grant, before: Resource, after: Resource) -> Loss:
    """Tell what a grant loses where `after` takes the place of `before`."""
    lost = (tuple(sorted(old - new)) for old, new in zip(reach(given, before), reach(given, after), strict=True))
    return Loss(given.grant_id, given.grantee, *lost)


def holding(grants: Iterable[Grant], now: datetime) -> list[Grant]:
    """Those that hold now: what has expired or was taken back loses nothing."""
    return [each for each in grants if not each.revoked and each.expire_time > now]


def carried(proposed: Resource, current: Resource | None) -> Resource:
    """Give a proposal as it would be stored: how the provider is reached stays as operators set it.

    A new resource is reached by connector until an operator says otherwise; a mapping forgets the fields that go.
    """
    if current is None:
        return replace(
            proposed,
            adapter=AdapterKind.CONNECTOR,
            settings=ConnectorSettings(),
            timeout_ms=proposed.timeout_ms or TIMEOUT_MS,
            revision=1,
        )
    settings = current.settings
    if isinstance(settings, RestSettings):
        gone = current.field_names - proposed.field_names
        settings = replace(
            settings, mapping={name: path for name, path in settings.mapping.items() if name not in gone}
        )
    return replace(
        proposed,
        adapter=current.adapter,
        settings=settings,
        timeout_ms=current.timeout_ms,
        region=current.region,
        revision=current.revision + 1,
    )


def check_complete(resource: Resource) -> None:
    """Refuse an entry that lacks core metadata which the guide of 2017 asks of every entry."""
    said = resource.metadata
    needed = {
        "metadata.provider_name": said.provider_name,
        "metadata.abstract_zh": said.abstract_zh,
        "metadata.format": said.format,
        "metadata.sharing_methods": said.sharing_methods or resource.sharing_class is SharingClass.REFUSED,
        "metadata.opening": said.opening,
        "metadata.update_cycle": said.update_cycle,
    }
    faults = [Violation(f"resource.{name}", "Core metadata, needed.") for name, there in needed.items() if not there]
    faults += [
        Violation(f"resource.fields[{index}].data_type", "Core metadata, needed.")
        for index, each in enumerate(resource.fields)
        if each.data_type is None
    ]
    if faults:
        raise RequestInvalid("The entry lacks core metadata.", violations=faults)


def check_notice(*, notice_days: int, days_min: int, loses: bool, urgent_basis: str) -> int:
    """Give the working days from publication to effect. Raises NoticeTooShort.

    Nobody loses anything: at once, or later if asked for. Somebody does: the notice of the policy, or longer; shorter,
    even at once, only on a stated legal ground, which the holders are told.
    """
    if not loses or urgent_basis:
        return notice_days
    if 0 < notice_days < days_min:
        raise NoticeTooShort(
            f"Holders of grants lose something: they are told {days_min} working days before.",
            remedy="Give the notice its time, or state the legal ground that doesn't allow it.",
        )
    return notice_days or days_min


def move(before: Change, state: ChangeState, **said: object) -> tuple[Change, ResourceChangeMoved]:
    """Take an open change on. Raises ChangeNotOpen."""
    ways = {
        ChangeState.PROPOSED: set(ChangeState) - {ChangeState.PROPOSED},
        ChangeState.SCHEDULED: {ChangeState.IN_EFFECT, ChangeState.WITHDRAWN, ChangeState.OVERTAKEN},
    }
    if state not in ways.get(before.state, set()):
        raise ChangeNotOpen(f"The change is {before.state.value}.")
    after = replace(before, state=state, **said)  # type: ignore[arg-type] # fields of a change
    return after, moved(after)


def moved(change: Change) -> ResourceChangeMoved:
    """Tell where a change is."""
    return ResourceChangeMoved(change.change_id, change.code, change.state, change.effect_time)


def notices(
    losses: Sequence[Loss],
    *,
    change_id: str,
    after: Resource,
    state: NoticeState,
    urgent_basis: str,
    times: tuple[datetime, datetime],
) -> list[Notice]:
    """One notice for each agency, however many grants it holds. `times`: now, and when the change takes effect."""
    of: dict[str, tuple[set[str], set[str], set[str]]] = {}
    for each in losses:
        together = of.setdefault(each.grantee, (set(), set(), set()))
        for lost, some in zip(together, (each.fields, each.verify_fields, each.questions), strict=True):
            lost.update(some)
    return [
        Notice(
            change_id=change_id,
            agency=agency,
            resource=after.code,
            to_revision=after.revision,
            fields=tuple(sorted(fields)),
            verify_fields=tuple(sorted(verify_fields)),
            questions=tuple(sorted(questions)),
            state=state,
            urgent_basis=urgent_basis,
            create_time=times[0],
            effect_time=times[1],
        )
        for agency, (fields, verify_fields, questions) in of.items()
    ]
