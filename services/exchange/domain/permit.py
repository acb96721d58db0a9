# SPDX-License-Identifier: Apache-2.0
"""A grant in executable form: compiled once, decided in microseconds, without a database."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from services.exchange.domain.conditions import ConditionMalformed, Program
from services.exchange.domain.grant import Grant
from services.exchange.domain.hours import Opening, WorkingDay
from services.exchange.domain.refusals import (
    FieldNotGranted,
    GrantExpired,
    MethodNotGranted,
    NoGrant,
    OutsideHours,
    PurposeNotGranted,
    QuestionNotGranted,
    ResourceRetired,
    SharingRefused,
)
from services.exchange.domain.resource import Resource, SharingClass
from services.exchange.domain.terms import Method
from services.exchange.domain.view import Answers, Matching, View


class Limits(NamedTuple):
    """What is looked at for every call under a grant, beside its quota."""

    rate_per_second: int
    consent: bool


@dataclass(frozen=True, slots=True)
class CompiledGrant:
    """A grant against the resource as it is now: fields that the resource lost are gone from it.

    `limits`, `predicate` and `opening` are None in a plain grant, which then pays nothing for them.
    """

    grant_id: str
    basis: str
    purposes: frozenset[str]
    methods: frozenset[Method]
    fields: tuple[str, ...]
    mask: frozenset[str]
    verify_mask: frozenset[str]
    questions: dict[str, Program]
    predicate: Program | None
    limits: Limits | None
    opening: Opening | None
    expire_time: datetime
    daily_quota: int

    def holds(self, purpose: str, method: Method, now: datetime) -> bool:
        """Tell whether it lets something be asked for this purpose, by this method, at this moment."""
        return (
            self.expire_time > now
            and purpose in self.purposes
            and method in self.methods
            and (self.opening is None or self.opening.is_open(now))
        )

    def permit(self, resource: Resource, fields: tuple[str, ...], method: Method, revision: int) -> "Permit":
        """Permit fields of a record: where there is a predicate, those that it reads are fetched as well."""
        view = None if self.predicate is None else Matching(fields, self.predicate)
        needed = fields if view is None else view.needed
        return Permit(
            resource, self.grant_id, self.basis, fields, needed, self.daily_quota, self.limits, view, method, revision
        )


class Permit(NamedTuple):
    """What one call may do: exactly these fields (or questions) of this resource, under this grant.

    `needed` are the fields that the provider is asked for. Where `view` is set, what it makes of the record is all that
    leaves the broker. `revision` is that of the rules that it was made by. A tuple: one is made for every call.
    """

    resource: Resource
    grant_id: str
    basis: str
    fields: tuple[str, ...]
    needed: tuple[str, ...]
    daily_quota: int
    limits: Limits | None
    view: View | None
    method: Method
    revision: int


NOTHING: Final = frozenset[str]()


def compile_grant(given: Grant, resource: Resource, *, is_working_day: WorkingDay) -> CompiledGrant:
    """Turn a grant into sets and programs; what the resource no longer has can't be asked for.

    A predicate that reads a field which is gone can't be judged any more: such a grant gives nothing.
    """
    known = resource.field_names
    terms = given.terms
    predicate = None
    try:
        if terms.predicate is not None:
            predicate = Program(terms.predicate.expression, known)
    except ConditionMalformed:
        known = NOTHING
    fields = tuple(name for name in given.fields if name in known)
    return CompiledGrant(
        grant_id=given.grant_id,
        basis=given.basis,
        purposes=frozenset(given.purposes),
        methods=given.methods,
        fields=fields,
        mask=frozenset(fields),
        verify_mask=frozenset(given.verify_fields) & known,
        questions=_questions(given, known),
        predicate=predicate,
        limits=Limits(terms.rate_per_second, terms.consent) if terms.rate_per_second or terms.consent else None,
        opening=None if terms.hours is None else Opening(terms.hours, is_working_day),
        expire_time=given.expire_time,
        daily_quota=given.daily_quota,
    )


def permit_query(
    resource: Resource | None,
    grants: Sequence[CompiledGrant],
    *,
    purpose: str,
    fields: Sequence[str],
    now: datetime,
    method: Method = Method.QUERY,
    revision: int = 0,
) -> Permit:
    """Permit to see `fields` (empty: all of the newest grant for this purpose), or refuse with the nearest reason."""
    resource, holding = _holding(resource, grants, purpose=purpose, method=method, now=now)
    if not fields:
        for each in holding:
            if each.fields:
                return each.permit(resource, each.fields, method, revision)
        raise FieldNotGranted("The grant lets fields be compared, not seen.", remedy="Use Verify.")
    wanted = tuple(dict.fromkeys(fields))
    for each in holding:
        if each.mask.issuperset(wanted):
            return each.permit(resource, wanted, method, revision)
    raise _outside(wanted, (each.mask for each in holding))


def permit_verify(
    resource: Resource | None,
    grants: Sequence[CompiledGrant],
    *,
    purpose: str,
    fields: Sequence[str],
    now: datetime,
    revision: int = 0,
) -> Permit:
    """Permit to compare `fields` (empty: all of the newest grant for this purpose), or refuse with the nearest reason."""
    resource, holding = _holding(resource, grants, purpose=purpose, method=Method.VERIFY, now=now)
    if not fields:
        for each in holding:
            if each.verify_mask:
                return each.permit(resource, tuple(sorted(each.verify_mask)), Method.VERIFY, revision)
        raise FieldNotGranted("The grant lets nothing be compared.")
    for each in holding:
        if each.verify_mask.issuperset(fields):
            return each.permit(resource, tuple(fields), Method.VERIFY, revision)
    raise _outside(fields, (each.verify_mask for each in holding))


def permit_ask(
    resource: Resource | None,
    grants: Sequence[CompiledGrant],
    *,
    purpose: str,
    questions: Sequence[str],
    now: datetime,
    revision: int = 0,
) -> Permit:
    """Permit to ask `questions` by name, or refuse with the nearest reason. The permit's fields are their names."""
    resource, holding = _holding(resource, grants, purpose=purpose, method=Method.VERIFY, now=now)
    wanted = tuple(dict.fromkeys(questions))
    for each in holding:
        if each.questions.keys() >= set(wanted):
            view = Answers({name: each.questions[name] for name in wanted}, each.predicate)
            return Permit(
                resource,
                each.grant_id,
                each.basis,
                wanted,
                view.needed,
                each.daily_quota,
                each.limits,
                view,
                Method.VERIFY,
                revision,
            )
    raise QuestionNotGranted("A question was asked that the grant does not let be asked.")


def must_still_hold(
    permit: Permit, resource: Resource | None, grants: Sequence[CompiledGrant], *, purpose: str, now: datetime
) -> None:
    """Permit the same again, under the very same grant, or refuse with the nearest reason."""
    same = [each for each in grants if each.grant_id == permit.grant_id]
    if isinstance(permit.view, Answers):
        permit_ask(resource, same, purpose=purpose, questions=permit.fields, now=now)
    elif permit.method is Method.VERIFY:
        permit_verify(resource, same, purpose=purpose, fields=permit.fields, now=now)
    else:
        permit_query(resource, same, purpose=purpose, fields=permit.fields, now=now, method=permit.method)


def _questions(given: Grant, known: frozenset[str]) -> dict[str, Program]:
    programs = {}
    for each in given.terms.questions:
        try:
            programs[each.name] = Program(each.condition.expression, known)
        except ConditionMalformed:
            continue  # It reads what is gone.
    return programs


def _holding(
    resource: Resource | None, grants: Sequence[CompiledGrant], *, purpose: str, method: Method, now: datetime
) -> tuple[Resource, Sequence[CompiledGrant]]:
    """Resource and the grants that hold now, for the purpose and the method, newest first; never empty."""
    if resource is None or not grants:
        raise NoGrant("The agency has no grant on this resource.", remedy="Apply to the provider for a grant.")
    if resource.retired:
        raise ResourceRetired(f"The provider no longer offers resource {resource.code}.")
    if resource.sharing_class is SharingClass.REFUSED:
        raise SharingRefused(f"Resource {resource.code} is not shared.")
    holding = [each for each in grants if each.holds(purpose, method, now)]
    if not holding:
        raise _nearest(grants, purpose, method, now)
    return resource, holding


def _nearest(
    grants: Sequence[CompiledGrant], purpose: str, method: Method, now: datetime
) -> GrantExpired | PurposeNotGranted | MethodNotGranted | OutsideHours:
    """Give the reason of the grant that came closest to holding."""
    current = [each for each in grants if each.expire_time > now]
    if not current:
        return GrantExpired("The agency's grant on this resource has expired.", remedy="Apply for a new grant.")
    meant = [each for each in current if purpose in each.purposes]
    if not meant:
        return PurposeNotGranted("The agency's grant does not hold for this purpose.")
    allowed = [each for each in meant if method in each.methods]
    if not allowed:
        return MethodNotGranted(f"The agency's grant does not allow {method.value}.", remedy=_instead(meant))
    waits = [each.opening.opens_in_seconds(now) for each in allowed if each.opening is not None]
    return OutsideHours(
        "The agency's grant does not answer at this hour.",
        retry_after_seconds=min((wait for wait in waits if wait is not None), default=None),
    )


def _instead(grants: Sequence[CompiledGrant]) -> str:
    """Say what may be used instead, least data first."""
    ways = {
        "Verify": any(Method.VERIFY in each.methods and each.verify_mask for each in grants),
        "Ask": any(Method.VERIFY in each.methods and each.questions for each in grants),
        "Query": any(Method.QUERY in each.methods for each in grants),
    }
    allowed = [way for way, is_allowed in ways.items() if is_allowed]
    return f"Use {' or '.join(allowed)}, or ask the provider for more." if allowed else "Ask the provider for it."


def _outside(wanted: Iterable[str], masks: Iterable[frozenset[str]]) -> FieldNotGranted:
    nearest = min((sorted(set(wanted) - mask) for mask in masks), key=len)
    # Names that stand in no catalogue are the caller's own words and are not repeated.
    return FieldNotGranted(f"{len(nearest)} of the fields asked for are not granted.")
