# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with the limits of a matter, once it is known what the law gives here."""

from collections.abc import Iterator

from services.gateway.domain.clock_rules import ClockRules
from services.gateway.domain.critical_path import Activity, critical_path
from services.gateway.domain.definition import Matter
from services.gateway.domain.history import Bound
from services.gateway.domain.limits import CaseClock, CaseLimit
from services.gateway.domain.problems import Problem, ProblemCode
from services.kit.calendar import Unit


def limit_problems(rules: ClockRules, matter: Matter) -> list[Problem]:
    """Terms that no file has, promises above the law, and a promise that the steps' own promises can't keep."""
    return [*_limits(rules, matter), *_path(matter)]


def activities(matter: Matter) -> tuple[Activity, ...]:
    """The steps of a matter as work in working days: what each promises, else what the law gives it; 0 without either."""
    return tuple(Activity(step.id, promised_days(step.limit), (*step.needs, *step.after)) for step in matter.steps)


def promised_days(limit: CaseLimit | None) -> int:
    """Working days that a step may take by its own word; 0 where it says none."""
    if limit is None or limit.unit is not Unit.WORKING_DAYS:
        return 0
    return next((days for days in (limit.promise, limit.statutory) if days is not None), 0)


def _limits(rules: ClockRules, matter: Matter) -> Iterator[Problem]:
    places = [(f"limits.{name}", limit) for name, limit in matter.limits.items()]
    places += [(f"steps.{step.id}.limit", step.limit) for step in matter.steps if step.limit is not None]
    for where, limit in places:
        try:
            terms = rules.terms(limit)
        except KeyError:
            yield Problem(ProblemCode.LIMIT_UNKNOWN, where, f"No file of limits has {limit.terms}.")
            continue
        law, promise = terms.get(Bound.STATUTORY), terms.get(Bound.PROMISE)
        if law is not None and promise is not None and promise.limit.amount > law.limit.amount:
            yield Problem(
                ProblemCode.PROMISE_TOO_LONG,
                where,
                f"{promise.limit.amount} is promised where the law allows {law.limit.amount}.",
            )


def _path(matter: Matter) -> Iterator[Problem]:
    limit = matter.limits.get(CaseClock.DECISION)
    if limit is None or limit.promise is None or limit.unit is not Unit.WORKING_DAYS:
        return
    path = critical_path(activities(matter))
    if path.days > limit.promise:
        yield Problem(
            ProblemCode.PROMISE_TOO_SHORT,
            f"limits.{CaseClock.DECISION}",
            f"{limit.promise} is promised, but {', '.join(path.ids)} promise {path.days} together.",
        )
