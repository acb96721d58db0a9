# SPDX-License-Identifier: Apache-2.0
"""What happens to clocks, in words for the applicant: Chinese and English say the same."""

from services.gateway.domain.definition import Matter
from services.gateway.domain.history import (
    Bound,
    CaseAccepted,
    ClockEvent,
    ClockMove,
    ClockMoved,
    ClockRang,
    ClockRecounted,
    ClockStarted,
    Dates,
    Event,
)
from services.gateway.domain.limits import CaseClock
from services.gateway.domain.values import china_date
from services.kit.calendar import Bell
from services.kit.text import Text

CASE_CLOCKS = {
    CaseClock.ACCEPTANCE.value: Text("受理期限", "Time for acceptance"),
    CaseClock.DECISION.value: Text("办理期限", "Time for the decision"),
    CaseClock.DELIVERY.value: Text("送达期限", "Time for delivery"),
}
BOUNDS = {
    Bound.PROMISE.value: Text("承诺", "promised"),
    Bound.STATUTORY.value: Text("法定", "by law"),
}
_KINDS = {
    ClockMove.PAUSE: "clock_paused",
    ClockMove.RESUME: "clock_resumed",
    ClockMove.RESET: "clock_reset",
    ClockMove.EXTEND: "clock_extended",
    ClockMove.EXCLUDE: "clock_excluded",
    ClockMove.MEET: "clock_met",
    ClockMove.WITHDRAW: "clock_withdrawn",
}
_MOVES = {
    ClockMove.PAUSE: Text("暂停计时", "the clock is paused"),
    ClockMove.RESUME: Text("恢复计时", "the clock runs again"),
    ClockMove.RESET: Text("重新计时", "the clock runs anew"),
    ClockMove.EXTEND: Text("经批准延长", "extended with approval"),
    ClockMove.EXCLUDE: Text("部分日期依法不计入", "some days do not count, by law"),
    ClockMove.MEET: Text("计时结束", "the clock has ended"),
    ClockMove.WITHDRAW: Text("不再计时", "the clock no longer runs"),
}


def clock_kind(event: CaseAccepted | ClockEvent) -> str:
    """What the timeline calls it."""
    match event:
        case CaseAccepted():
            return "deemed_accepted" if event.deemed else "accepted"
        case ClockStarted():
            return "clock_started"
        case ClockMoved():
            return _KINDS[event.move]
        case ClockRang():
            return "clock_overdue" if event.bell is Bell.EXPIRY else f"clock_{event.bell.value}"
        case ClockRecounted():
            return "clock_recounted"


def clock_title(matter: Matter, event: Event) -> Text:
    """What a clock is called: by the case's word, or by the step's title."""
    step_id = getattr(event, "step_id", "")
    return title_of(matter, getattr(event, "clock", ""), step_id)


def title_of(matter: Matter, clock: str, step_id: str) -> Text:
    """The same by name."""
    if not step_id:
        return CASE_CLOCKS.get(clock, Text("办件", "The case"))
    return next((step.title for step in matter.steps if step.id == step_id), Text(step_id, step_id))


def clock_words(event: Event, title: Text) -> Text:
    """What happened to a clock, after its title."""
    zh, en = _words(event)
    return Text(f"{title.zh}：{zh}", f"{title.en}: {en}")


def _words(event: Event) -> tuple[str, str]:
    match event:
        case CaseAccepted(deemed=True):
            day = china_date(event.since)
            return (
                f"逾期未告知补正内容，依法自 {day} 起视为受理。",
                f"nobody said in time that something is missing; by law it counts as accepted since {day}.",
            )
        case CaseAccepted():
            return "已受理。", "it was accepted."
        case ClockStarted():
            return _with_dates("开始计时", "the clock runs", event.dates)
        case ClockMoved():
            words = _MOVES[event.move]
            zh, en = (
                (f"{words.zh}（{event.because.zh}）", f"{words.en} ({event.because.en})")
                if event.because
                else (words.zh, words.en)
            )
            return (f"{zh}。", f"{en}.") if event.move is ClockMove.MEET else _with_dates(zh, en, event.dates)
        case ClockRecounted():
            return _with_dates(
                "节假日安排已公布，期限重新核算", "holidays were announced and it was counted anew", event.dates
            )
        case ClockRang():
            return _rang(event)
        case _:
            raise TypeError(f"{type(event).__name__} is not about a clock.")


def _rang(event: ClockRang) -> tuple[str, str]:
    bound, day = BOUNDS[event.bound.value], china_date(event.due)
    match event.bell:
        case Bell.WARNING:
            return f"{bound.zh}期限临近。", f"the time {bound.en} will soon be over."
        case Bell.ESCALATION:
            return f"超过{bound.zh}期限，已提请督办。", f"the time {bound.en} is over; supervisors were told."
        case Bell.EXPIRY if event.bound is Bound.PROMISE:
            return (
                f"已超过承诺期限，仍在办理；{day} 起逾期。承办部门应当公开说明原因。",
                f"it takes longer than promised, since {day}, and is still being handled; the department has to explain why in public.",
            )
        case Bell.EXPIRY:
            return (
                f"已超过法定期限，{day} 起逾期。您可以依法申请行政复议或者提起诉讼。",
                f"the time by law is over, since {day}. You may ask for administrative review or go to court.",
            )


def _with_dates(zh: str, en: str, dates: Dates) -> tuple[str, str]:
    days = [(BOUNDS[bound], day) for bound, day in sorted(dates.by.items()) if day]
    if not days:
        return f"{zh}。", f"{en}."
    sure_zh, sure_en = ("（暂定）", " (provisional)") if dates.provisional else ("", "")
    zh_days = "，".join(f"{bound.zh}期限至 {day}" for bound, day in days)
    en_days = ", ".join(
        f"until {day} {bound.en}" if bound.en == "by law" else f"until {day} as {bound.en}" for bound, day in days
    )
    return f"{zh}；{zh_days}{sure_zh}。", f"{en}, {en_days}{sure_en}."
