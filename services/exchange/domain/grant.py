# SPDX-License-Identifier: Apache-2.0
"""What one agency may ask of one resource, for what and until when."""

import re
from dataclasses import dataclass, replace
from datetime import datetime

from services.exchange.domain.refusals import GrantRevoked, ResourceRetired, SharingRefused, TooManyGrants
from services.exchange.domain.resource import USCC, Resource, SharingClass
from services.exchange.domain.terms import PLAIN, UNLESS_SAID, Method, Terms, term_faults
from services.kit.errors import RequestInvalid, Violation

_PURPOSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:-]{0,99}")
PURPOSES_MAX = 50
QUOTA_MAX = 1_000_000_000
GRANTS_MAX = 20
"""Grants of an agency on a resource that hold at a time."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant. Fields can be seen, `verify_fields` only compared. `daily_quota` 0 = no limit."""

    grant_id: str
    resource: str
    grantee: str
    purposes: tuple[str, ...]
    fields: tuple[str, ...]
    verify_fields: tuple[str, ...]
    basis: str
    expire_time: datetime
    daily_quota: int
    create_time: datetime
    revoke_time: datetime | None = None
    terms: Terms = PLAIN
    application_id: str = ""

    @property
    def revoked(self) -> bool:
        """True after it was taken back."""
        return self.revoke_time is not None

    @property
    def methods(self) -> frozenset[Method]:
        """How may be asked."""
        return frozenset(self.terms.methods or UNLESS_SAID)

    def same_terms(self, other: "Grant") -> bool:
        """Tell whether two grants give the same, whenever they were made."""
        return replace(self, create_time=other.create_time, revoke_time=other.revoke_time) == other


@dataclass(frozen=True, slots=True)
class GrantChanged:
    """A grant was created or taken back."""

    grant_id: str
    resource: str
    grantee: str
    revoked: bool


def grant(draft: Grant, resource: Resource, *, beside: int) -> tuple[Grant, GrantChanged]:
    """Give a grant, if the resource may be shared and has what is granted. `draft.create_time` is now.

    `beside`: grants that the agency holds on the resource already; all of them are compiled for its next question.
    """
    if beside >= GRANTS_MAX:
        raise TooManyGrants(
            f"An agency holds {GRANTS_MAX} grants on a resource at most.",
            remedy="Have one taken back that is not needed any more, or wait for its end.",
        )
    if resource.retired:
        raise ResourceRetired(f"The provider no longer offers resource {resource.code}.")
    if resource.sharing_class is SharingClass.REFUSED:
        raise SharingRefused(f"Resource {resource.code} is not shared: {resource.sharing_reason}")
    if faults := grant_faults(draft, resource.field_names):
        raise RequestInvalid("The grant can't be given as asked.", violations=faults)
    return draft, _changed(draft)


def revoke(before: Grant, *, now: datetime) -> tuple[Grant, GrantChanged]:
    """Take a grant back; it stays on record, because leaves name it."""
    if before.revoked:
        raise GrantRevoked(f"Grant {before.grant_id} was revoked before.")
    after = replace(before, revoke_time=now)
    return after, _changed(after)


def _changed(given: Grant) -> GrantChanged:
    return GrantChanged(given.grant_id, given.resource, given.grantee, given.revoked)


def grant_faults(draft: Grant, known: frozenset[str]) -> list[Violation]:
    """Name everything that keeps this from being given on a resource with these fields. `draft.create_time` is now."""
    checks = {
        "grant.grantee": (bool(USCC.fullmatch(draft.grantee)), "A unified social credit code."),
        "grant.purposes": (
            1 <= len(draft.purposes) <= PURPOSES_MAX
            and len(set(draft.purposes)) == len(draft.purposes)
            and all(_PURPOSE.fullmatch(purpose) for purpose in draft.purposes),
            f"1 to {PURPOSES_MAX} purpose codes, each once, at most 100 letters, digits and _ . / : -",
        ),
        "grant.fields": (
            set(draft.fields) <= known and len(set(draft.fields)) == len(draft.fields),
            "Fields of the resource, each once.",
        ),
        "grant.verify_fields": (
            set(draft.verify_fields) <= known and len(set(draft.verify_fields)) == len(draft.verify_fields),
            "Fields of the resource, each once.",
        ),
        "grant": (
            bool(draft.fields or draft.verify_fields or draft.terms.questions),
            "Something to see, compare or ask.",
        ),
        "grant.basis": (1 <= len(draft.basis) <= 200, "The legal basis, 1 to 200 characters."),  # noqa: PLR2004 -- a bound
        "grant.expire_time": (draft.expire_time > draft.create_time, "A moment that is still to come."),
        "grant.daily_quota": (0 <= draft.daily_quota <= QUOTA_MAX, f"0 to {QUOTA_MAX}."),
    }
    faults = [Violation(name, words) for name, (holds, words) in checks.items() if not holds]
    return [*faults, *term_faults(draft.terms, known)]
