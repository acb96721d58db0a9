# SPDX-License-Identifier: Apache-2.0
"""What an agency would get at this moment, and why: no data is touched, no provider asked, nothing counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.exchange.domain.conditions import Question
from services.exchange.domain.grant import GRANTS_MAX, Grant
from services.exchange.domain.hours import Opening, WorkingDay
from services.exchange.domain.inquiry import check_words
from services.exchange.domain.permit import Permit
from services.exchange.domain.terms import Method
from services.exchange.service.ports import Store
from services.exchange.service.quotas import Quotas, exceeded, too_fast
from services.exchange.service.rulebook import Rulebook
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import Refusal, RequestInvalid, Violation

RIGHT = "exchange.query"


@dataclass(frozen=True, slots=True)
class Explain:
    """What would be asked. `fields` and `questions` empty: whatever is granted. `grantee` empty: the caller."""

    resource: str
    purpose: str
    method: Method
    fields: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    grantee: str = ""


@dataclass(frozen=True, slots=True)
class ExplainedGrant:
    """A grant as it stands at this moment. `quota_left` is None where there is no quota."""

    grant: Grant
    quota_left: int | None
    open: bool
    open_time: datetime | None
    expired: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would happen: a refusal, or the permit that the call would run under."""

    refusal: Refusal | None
    permit: Permit | None
    questions: tuple[Question, ...]
    grants: tuple[ExplainedGrant, ...]


class Explainer:
    """Goes the way of a call up to the provider, and stops there."""

    def __init__(
        self, store: Store, rulebook: Rulebook, quotas: Quotas, *, clock: Clock, is_working_day: WorkingDay
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._quotas = quotas
        self._clock = clock
        self._is_working_day = is_working_day

    async def explain(self, explain: Explain, caller: Caller) -> Explanation:
        """Tell what would happen. Raises RequestInvalid, RightMissing, Unavailable."""
        caller.must(RIGHT)
        check_words(
            resource=explain.resource,
            purpose=explain.purpose,
            fields=(*explain.fields, *explain.questions),
            on_behalf_of=explain.grantee,
        )
        grantee = _grantee(explain, caller)
        given = (await self._store.grants_of(grantee, explain.resource))[:GRANTS_MAX]
        grants = tuple([await self._explained(each) for each in given])
        permit, refusal = None, None
        try:
            permit = await self._permitted(explain, grantee)
        except Refusal as refused:
            refusal = refused
        return Explanation(refusal, permit, _asked(permit, given), grants)

    async def _permitted(self, explain: Explain, grantee: str) -> Permit:
        resource, purpose = explain.resource, explain.purpose
        if explain.method is not Method.VERIFY:
            permit = await self._rulebook.permit_query(
                grantee, resource, purpose=purpose, fields=explain.fields, method=explain.method
            )
        elif explain.questions:
            permit = await self._rulebook.permit_ask(grantee, resource, purpose=purpose, questions=explain.questions)
        else:
            permit = await self._rulebook.permit_verify(grantee, resource, purpose=purpose, fields=explain.fields)
        rate = permit.limits.rate_per_second if permit.limits is not None else 0
        if rate and (wait := self._quotas.wait_seconds(permit.grant_id, rate)) > 0:
            raise too_fast(wait)
        if permit.daily_quota and not await self._quotas.left(permit.grant_id, permit.daily_quota):
            raise exceeded(self._clock())
        return permit

    async def _explained(self, given: Grant) -> ExplainedGrant:
        now = self._clock()
        hours = given.terms.hours
        opening = None if hours is None else Opening(hours, self._is_working_day)
        is_open = opening is None or opening.is_open(now)
        wait = None if opening is None or is_open else opening.opens_in_seconds(now)
        return ExplainedGrant(
            grant=given,
            quota_left=await self._quotas.left(given.grant_id, given.daily_quota) if given.daily_quota else None,
            open=is_open,
            open_time=None if wait is None else now + timedelta(seconds=wait),
            expired=given.expire_time <= now,
        )


def _grantee(explain: Explain, caller: Caller) -> str:
    if caller.kind is CallerKind.OPERATOR:
        if not explain.grantee:
            raise RequestInvalid(
                "An operator says whose call is to be explained.",
                violations=[Violation("grantee", "The USCC of the agency that would ask.")],
            )
        return explain.grantee
    own = caller.agency or caller.id
    if explain.grantee not in {"", own}:
        raise RequestInvalid("An agency explains itself.", violations=[Violation("grantee", "Empty for agencies.")])
    return own


def _asked(permit: Permit | None, given: Sequence[Grant]) -> tuple[Question, ...]:
    """The questions among what is permitted, with what they ask."""
    if permit is None:
        return ()
    found = next((each for each in given if each.grant_id == permit.grant_id), None)
    return () if found is None else tuple(each for each in found.terms.questions if each.name in permit.fields)
