# SPDX-License-Identifier: Apache-2.0
"""Organizations with a unified social credit code. Code and name are public facts; they are kept in clear."""

import hmac
from dataclasses import dataclass
from datetime import datetime

from services.identity.domain.comparison import MatchResult
from services.identity.domain.credit_code import credit_code
from services.identity.domain.names import checked_name, comparable_name


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


def register_organization(new: NewOrganization, *, subject_id: str, now: datetime) -> Organization:
    """A new record; refuses a code that can't be one."""
    return Organization(subject_id, credit_code(new.uscc), checked_name(new.name), now)


def compare_organization(name: str, organization: Organization | None, *, existence: bool) -> MatchResult:
    """Whether the record has this name; an unknown code is told apart only to callers who may know what exists."""
    if organization is None:
        return MatchResult.NOT_FOUND if existence else MatchResult.NO_MATCH
    said, kept = comparable_name(name).encode(), comparable_name(organization.name).encode()
    return MatchResult.MATCH if hmac.compare_digest(said, kept) else MatchResult.NO_MATCH
