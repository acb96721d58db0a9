# SPDX-License-Identifier: Apache-2.0
"""A grant in executable form: compiled once, decided in microseconds, without a database."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.exchange.domain.grant import Grant
from services.exchange.domain.refusals import (
    FieldNotGranted,
    GrantExpired,
    NoGrant,
    PurposeNotGranted,
    ResourceRetired,
    SharingRefused,
)
from services.exchange.domain.resource import Resource, SharingClass


@dataclass(frozen=True, slots=True)
class CompiledGrant:
    """A grant against the resource as it is now: fields that the resource lost are gone from it."""

    grant_id: str
    basis: str
    purposes: frozenset[str]
    fields: tuple[str, ...]
    mask: frozenset[str]
    verify_mask: frozenset[str]
    expire_time: datetime
    daily_quota: int


@dataclass(frozen=True, slots=True)
class Permit:
    """What one call may do: exactly these fields of this resource, under this grant."""

    resource: Resource
    grant_id: str
    basis: str
    fields: tuple[str, ...]
    daily_quota: int


def compile_grant(given: Grant, resource: Resource) -> CompiledGrant:
    """Turn a grant into sets; what the resource no longer has can't be asked for."""
    known = resource.field_names
    fields = tuple(name for name in given.fields if name in known)
    return CompiledGrant(
        grant_id=given.grant_id,
        basis=given.basis,
        purposes=frozenset(given.purposes),
        fields=fields,
        mask=frozenset(fields),
        verify_mask=frozenset(given.verify_fields) & known,
        expire_time=given.expire_time,
        daily_quota=given.daily_quota,
    )


def permit_query(
    resource: Resource | None, grants: Sequence[CompiledGrant], *, purpose: str, fields: Sequence[str], now: datetime
) -> Permit:
    """Permit to see `fields` (empty: all of the newest grant for this purpose), or refuse with the nearest reason."""
    resource, holding = _holding(resource, grants, purpose=purpose, now=now)
    if not fields:
        for each in holding:
            if each.fields:
                return Permit(resource, each.grant_id, each.basis, each.fields, each.daily_quota)
        raise FieldNotGranted("The grant lets fields be compared, not seen.", remedy="Use Verify.")
    wanted = tuple(dict.fromkeys(fields))
    for each in holding:
        if each.mask.issuperset(wanted):
            return Permit(resource, each.grant_id, each.basis, wanted, each.daily_quota)
    raise _outside(wanted, (each.mask for each in holding))


def permit_verify(
    resource: Resource | None, grants: Sequence[CompiledGrant], *, purpose: str, fields: Sequence[str], now: datetime
) -> Permit:
    """Permit to compare `fields`, or refuse with the nearest reason."""
    resource, holding = _holding(resource, grants, purpose=purpose, now=now)
    for each in holding:
        if each.verify_mask.issuperset(fields):
            return Permit(resource, each.grant_id, each.basis, tuple(fields), each.daily_quota)
    raise _outside(fields, (each.verify_mask for each in holding))


def _holding(
    resource: Resource | None, grants: Sequence[CompiledGrant], *, purpose: str, now: datetime
) -> tuple[Resource, Sequence[CompiledGrant]]:
    """Resource and the grants that hold now and for the purpose, newest first; never empty."""
    if resource is None or not grants:
        raise NoGrant("The agency has no grant on this resource.", remedy="Apply to the provider for a grant.")
    if resource.retired:
        raise ResourceRetired(f"The provider no longer offers resource {resource.code}.")
    if resource.sharing_class is SharingClass.REFUSED:
        raise SharingRefused(f"Resource {resource.code} is not shared.")
    current = [each for each in grants if each.expire_time > now]
    if not current:
        raise GrantExpired("The agency's grant on this resource has expired.", remedy="Apply for a new grant.")
    holding = [each for each in current if purpose in each.purposes]
    if not holding:
        raise PurposeNotGranted("The agency's grant does not hold for this purpose.")
    return resource, holding


def _outside(wanted: Iterable[str], masks: Iterable[frozenset[str]]) -> FieldNotGranted:
    nearest = min((sorted(set(wanted) - mask) for mask in masks), key=len)
    # Names that stand in no catalogue are the caller's own words and are not repeated.
    return FieldNotGranted(f"{len(nearest)} of the fields asked for are not granted.")
