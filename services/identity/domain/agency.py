# SPDX-License-Identifier: Apache-2.0
"""Agencies: departments with a certificate, and the rights that they hold."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from services.identity.domain.credit_code import credit_code
from services.identity.domain.names import checked_name
from services.kit.errors import Code, Refusal


class AgencyNotFound(Refusal):
    """No agency has this code."""

    code = Code.NOT_FOUND


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency's standing on the platform."""

    uscc: str
    name_zh: str
    name_en: str
    rights: tuple[str, ...]
    active: bool
    version: int


@dataclass(frozen=True, slots=True)
class AgencyChanged:
    """An agency was created, changed or barred; caches of rights let go of it."""

    uscc: str
    version: int


def agency_of(*, uscc: str, name_zh: str, name_en: str, rights: Iterable[str], active: bool) -> Agency:
    """An agency as an operator wants it, not yet versioned."""
    return Agency(
        credit_code(uscc), checked_name(name_zh), checked_name(name_en), tuple(sorted(set(rights))), active, version=0
    )


def put(before: Agency | None, wanted: Agency) -> tuple[Agency, AgencyChanged | None]:
    """The agency that is then in force; no fact where nothing changes."""
    if before is not None and replace(wanted, version=before.version) == before:
        return before, None
    after = replace(wanted, version=(before.version if before else 0) + 1)
    return after, AgencyChanged(after.uscc, after.version)
