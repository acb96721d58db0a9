# SPDX-License-Identifier: Apache-2.0
"""What is applied for, and what is given: a grant before it is one."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from services.exchange.domain.conditions import ConditionMalformed, Program, Question
from services.exchange.domain.grant import Grant, grant_faults
from services.exchange.domain.resource import Resource
from services.exchange.domain.terms import PLAIN, Terms
from services.kit.errors import Violation


@dataclass(frozen=True, slots=True)
class Scope:
    """Legal basis, purposes, fields, period and terms; `expire_time` None where the period is not said."""

    basis: str
    purposes: tuple[str, ...]
    fields: tuple[str, ...]
    verify_fields: tuple[str, ...]
    expire_time: datetime | None
    daily_quota: int = 0
    terms: Terms = PLAIN

    def grant(self, *, grant_id: str, resource: str, grantee: str, application_id: str, now: datetime) -> Grant:
        """The grant that gives this from now on; one without a period would be over at once."""
        return Grant(
            grant_id=grant_id,
            resource=resource,
            grantee=grantee,
            purposes=self.purposes,
            fields=self.fields,
            verify_fields=self.verify_fields,
            basis=self.basis,
            expire_time=self.expire_time or now,
            daily_quota=self.daily_quota,
            create_time=now,
            terms=self.terms,
            application_id=application_id,
        )


def scope_faults(scope: Scope, resource: Resource, *, requester: str, now: datetime) -> list[Violation]:
    """Name everything that keeps this from being a grant on the resource."""
    draft = scope.grant(grant_id="", resource=resource.code, grantee=requester, application_id="", now=now)
    faults = grant_faults(draft, resource.field_names)
    return [replace(each, field=f"wanted{each.field.removeprefix('grant')}") for each in faults]


def is_within(given: Scope, wanted: Scope, known: Collection[str]) -> bool:
    """Tell whether nothing is given that was not wanted.

    Less may take another form: a field that was to be seen may be compared, or asked about, instead. Everything else in
    the terms only narrows. Both scopes are sound.
    """
    comparable = {*wanted.fields, *wanted.verify_fields}
    mine, theirs = given.terms, wanted.terms
    return (
        set(given.purposes) <= set(wanted.purposes)
        and set(given.fields) <= set(wanted.fields)
        and set(given.verify_fields) <= comparable
        and all(each in theirs.questions or _read(each, known) <= comparable for each in mine.questions)
        and set() < set(mine.methods) <= set(theirs.methods)
        and theirs.predicate in {None, mine.predicate}
        and theirs.hours in {None, mine.hours}
        and mine.consent >= theirs.consent
        and _no_later(given.expire_time, wanted.expire_time)
        and _no_more(given.daily_quota, wanted.daily_quota)
        and _no_more(mine.rate_per_second, theirs.rate_per_second)
    )


def _read(question: Question, known: Collection[str]) -> set[str]:
    try:
        return set(Program(question.condition.expression, known).fields)
    except ConditionMalformed:
        return {""}  # Of no resource's fields.


def _no_later(given: datetime | None, wanted: datetime | None) -> bool:
    return given is not None and wanted is not None and given <= wanted


def _no_more(given: int, wanted: int) -> bool:
    """0 is without a limit."""
    return wanted == 0 or 0 < given <= wanted
