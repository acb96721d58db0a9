# SPDX-License-Identifier: Apache-2.0
"""Organizations with a unified social credit code. Code and name are public facts; they are kept in clear."""

import hmac
from dataclasses import dataclass, replace
from datetime import datetime

from services.identity.domain.comparison import MatchResult
from services.identity.domain.credit_code import credit_code
from services.identity.domain.names import checked_name, comparable_name
from services.kit.errors import Code, Refusal


@dataclass(frozen=True, slots=True)
class NewOrganization:
    """What a department says about an organization to register."""

    uscc: str
    name: str


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization on record."""

    subject_id: str
    uscc: str
    name: str
    create_time: datetime
    deregister_time: datetime | None = None
    """When it was struck off; the code is never another's."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison came to."""

    result: MatchResult
    deregistered: bool = False
    """It was struck off, so nothing matches any more."""


class OrganizationNotFound(Refusal):
    """No organization has this code."""

    code = Code.NOT_FOUND


def register_organization(new: NewOrganization, *, subject_id: str, now: datetime) -> Organization:
    """A new record; refuses a code that can't be one."""
    return Organization(subject_id, credit_code(new.uscc), checked_name(new.name), now)


def deregister_organization(organization: Organization, *, now: datetime) -> Organization:
    """The record of one that was struck off; the first time counts."""
    return organization if organization.deregister_time else replace(organization, deregister_time=now)


def compare_organization(name: str, organization: Organization | None, *, existence: bool) -> Compared:
    """Whether the record has this name; an unknown code is told apart only to callers who may know what exists."""
    if organization is None:
        return Compared(MatchResult.NOT_FOUND if existence else MatchResult.NO_MATCH)
    if organization.deregister_time is not None:
        return Compared(MatchResult.NO_MATCH, deregistered=True)
    said, kept = comparable_name(name).encode(), comparable_name(organization.name).encode()
    return Compared(MatchResult.MATCH if hmac.compare_digest(said, kept) else MatchResult.NO_MATCH)
