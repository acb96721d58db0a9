# SPDX-License-Identifier: Apache-2.0
"""When a case will have ended, by the promises of the steps that are left: its critical path, counted over a calendar.

A function of what has happened alone: it changes when something happens, and so its version says whether it has.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

from services.gateway.domain.case import SETTLED, CaseState, StepState
from services.gateway.domain.clock import Clock, clock_name
from services.gateway.domain.clock_rules import ClockRules
from services.gateway.domain.critical_path import Activity, critical_path
from services.gateway.domain.definition import Step, StepKind
from services.gateway.domain.limit_checks import promised_days
from services.gateway.domain.plan import Plan
from services.kit.calendar import Calendar, Deadline, Limit, Terms, dawn, local_date, reckon
from services.kit.text import Text

_SILENT = frozenset({StepKind.TASK})
"""Kinds that take days of people: one of these without a promise leaves the end unknown."""


@dataclass(frozen=True, slots=True)
class PathStep:
    """One step of the longest chain."""

    step_id: str
    title: Text
    days: int
    """Working days; of a step under way, those that are left."""
    end: date


@dataclass(frozen=True, slots=True)
class ExpectedEnd:
    """The last day on which everything that is left will be done, if each keeps its word."""

    day: date | None
    """None where nobody can say: a step promises nothing, is late, waits for an operator, or for the applicant."""
    begin: date
    """From which day on the rest is counted."""
    path: tuple[PathStep, ...]
    without_promise: tuple[str, ...]
    """Steps that promise nothing: the end is not known because of them."""
    late: tuple[str, ...]
    """Steps that have taken longer than promised and by law: nobody knows when they end."""
    paused: bool
    provisional: bool
    calendar: str
    calendar_version: int
    derivation: tuple[Text, ...]


def expected_end(rules: ClockRules, plan: Plan, state: CaseState) -> ExpectedEnd | None:
    """Reckon it; None for a draft and for a case that has ended."""
    if not state.running or state.moved is None:
        return None
    calendar = rules.calendars.of(rules.region)
    begin = local_date(state.moved)
    left = [compiled.step for compiled in plan.steps.values() if not _settled(plan, state, compiled.step)]
    days: dict[str, int] = {}
    silent: list[str] = []
    late: list[str] = []
    for step in left:
        found = _days_left(rules, state, step, begin, calendar)
        days[step.id] = found or 0
        if found is None:
            (late if clock_name(step.id) in state.clocks else silent).append(step.id)
    path = critical_path(Activity(step.id, days[step.id], (*step.needs, *step.after)) for step in left)
    titles = {step.id: step.title for step in left}
    chain = tuple(_path_steps(path.ids, days, titles, begin, calendar))
    paused = any(_stands_still(plan, state, clock) for clock in state.clocks.values() if clock.open)
    known = not (silent or late or paused or state.parked_step)
    last = chain[-1].end if chain else begin
    sure = all(not calendar.day(begin + timedelta(days=ahead)).provisional for ahead in range((last - begin).days + 1))
    made = ExpectedEnd(
        last if known else None,
        begin,
        chain,
        tuple(silent),
        tuple(late),
        paused=paused,
        provisional=not sure,
        calendar=calendar.name,
        calendar_version=calendar.version,
        derivation=(),
    )
    return _worded(made, {step.id: step.title for step in plan.matter.steps})


def _stands_still(plan: Plan, state: CaseState, clock: Clock) -> bool:
    """Whether a clock waits for a person; one that leaves out the time of a step goes on with that step."""
    if not clock.paused or clock.step_id or clock.held_by:
        return clock.paused
    under_way = (step_id for step_id, record in state.steps.items() if record.state is StepState.RUNNING)
    steps = (plan.step(step_id) for step_id in under_way)
    return not any(step is not None and step.not_counted is not None for step in steps)


def _settled(plan: Plan, state: CaseState, step: Step) -> bool:
    """Done, or sure to be skipped: the applicant does without it, or what it needs was skipped."""
    record = state.step(step.id)
    if record.state in SETTLED:
        return True
    if record.state is not StepState.WAITING:
        return False
    if step.optional and step.id in state.without:
        return True
    needed = (plan.step(other) for other in step.needs)
    return any(
        each is not None and state.step(each.id).state is not StepState.DONE and _settled(plan, state, each)
        for each in needed
    )


def _days_left(rules: ClockRules, state: CaseState, step: Step, begin: date, calendar: Calendar) -> int | None:
    """Working days until it ends by its own word; None where it gave none, or has broken every one."""
    clock = state.clocks.get(clock_name(step.id))
    if clock is None or not clock.open:
        return None if step.limit is None and step.kind in _SILENT else promised_days_by(rules, step)
    ends = sorted(each.due_date for each in rules.reckoned(clock).values() if each.due_date is not None)
    coming = [each for each in ends if each >= begin]
    if not coming:
        return 0 if clock.paused else None
    return sum(calendar.day(begin + timedelta(days=ahead)).works for ahead in range(1, (coming[0] - begin).days + 1))


def promised_days_by(rules: ClockRules, step: Step) -> int:
    """What it promises, else what the law gives it here, in working days."""
    if step.limit is None:
        return 0
    if days := promised_days(step.limit):
        return days
    return max((each.limit.amount for each in rules.terms(step.limit).values()), default=0)


def _path_steps(
    ids: tuple[str, ...], days: dict[str, int], titles: dict[str, Text], begin: date, calendar: Calendar
) -> Iterator[PathStep]:
    total = 0
    for step_id in ids:
        total += days[step_id]
        yield PathStep(step_id, titles[step_id], days[step_id], _after(begin, total, calendar))


def _after(begin: date, days: int, calendar: Calendar) -> date:
    """The day that is so many working days later."""
    counted = reckon(Deadline.started(Terms(limit=Limit(amount=days)), dawn(begin)), calendar)
    assert counted.due_date is not None
    return counted.due_date


def _worded(end: ExpectedEnd, titles: dict[str, Text]) -> ExpectedEnd:
    lines = [Text(f"自 {end.begin} 起推算。", f"Counted from {end.begin}.")]
    lines += [
        Text(
            f"{each.title.zh}：{each.days} 个工作日，至 {each.end}。",
            f"{each.title.en}: {each.days} working days, until {each.end}.",
        )
        for each in end.path
    ]
    lines += [
        Text(f"{titles[each].zh}：未公布承诺时限。", f"{titles[each].en}: nothing is promised.")
        for each in end.without_promise
    ]
    lines += [
        Text(
            f"{titles[each].zh}：已超过期限，办结时间无法确定。",
            f"{titles[each].en}: late; nobody can say when it ends.",
        )
        for each in end.late
    ]
    if end.paused:
        lines.append(
            Text("计时已暂停，恢复后重新推算。", "The clock is paused; the end is counted when it runs again.")
        )
    if end.provisional:
        lines.append(
            Text(
                "部分年份的放假安排尚未公布，此日期为暂定。",
                "Not every year's holidays are announced yet: the date is provisional.",
            )
        )
    return replace(end, derivation=tuple(lines))
