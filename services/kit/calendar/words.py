# SPDX-License-Identifier: Apache-2.0
"""A derivation in words: a line for the start, one for each span, one for the end; Chinese and English say the same."""

from datetime import datetime

from services.kit.calendar.days import CHINA, Why, local_date
from services.kit.calendar.deadline import Deadline, State
from services.kit.calendar.reckoning import Reckoning
from services.kit.calendar.spans import Span
from services.kit.calendar.terms import Unit
from services.kit.text import Text

_UNITS = {
    Unit.WORKING_DAYS: ("个工作日", "working days"),
    Unit.NATURAL_DAYS: ("个自然日", "natural days"),
    Unit.HOURS: ("小时", "hours"),
}
_REASONS = {
    Why.WORKING: ("工作日", "working days"),
    Why.MAKE_UP: ("调休上班", "make-up working days"),
    Why.NATURAL: ("计入", "counted"),
    Why.WEEKEND: ("周末", "weekend"),
    Why.HOLIDAY: ("放假", "holiday"),
    Why.PAUSED: ("暂停计时", "paused"),
    Why.EXCLUDED: ("依法不计入", "not counted by law"),
    Why.ROLLED: ("末日顺延至此日", "the last day moves here"),
}


def derivation(deadline: Deadline, reckoned: Reckoning) -> tuple[Text, ...]:
    """Say how the due date was counted, line by line."""
    hours = deadline.terms.limit.unit is Unit.HOURS
    return (
        _begin(deadline, hours=hours),
        *(_hours(span) if hours else _days(span) for span in reckoned.spans),
        _end(deadline, reckoned),
    )


def _begin(deadline: Deadline, *, hours: bool) -> Text:
    now = deadline.standing
    zh, en = _UNITS[deadline.terms.limit.unit]
    if hours:
        start = _moment(now.start)
        return Text(zh=f"自 {start} 起，共 {now.total} {zh}。", en=f"From {start}, {now.total} {en}.")
    day = local_date(now.start)
    return Text(
        zh=f"自 {day}（当日不计）起，共 {now.total} {zh}。",
        en=f"From {day} (that day does not count), {now.total} {en}.",
    )


def _days(span: Span) -> Text:
    first, last = span.first_day, span.last_day
    zh_days, en_days = (f"{first}", f"{first}") if first == last else (f"{first} 至 {last}", f"{first} to {last}")
    zh_why, en_why = _reason(span)
    if not span.counts:
        return Text(zh=f"{zh_days}：{zh_why}，不计。", en=f"{en_days}: {en_why}, not counted.")
    if span.first == span.last:
        return Text(zh=f"{zh_days}：{zh_why}，计第 {span.first} 日。", en=f"{en_days}: {en_why}, day {span.first}.")
    return Text(
        zh=f"{zh_days}：{zh_why}，计第 {span.first} 至第 {span.last} 日。",
        en=f"{en_days}: {en_why}, days {span.first} to {span.last}.",
    )


def _hours(span: Span) -> Text:
    begin, end = _moment(span.begin), _moment(span.end)
    zh, en = _reason(span)
    zh_counts, en_counts = ("", "") if span.counts else ("，不计", ", not counted")
    return Text(zh=f"{begin} 至 {end}：{zh}{zh_counts}。", en=f"{begin} to {end}: {en}{en_counts}.")


def _end(deadline: Deadline, reckoned: Reckoning) -> Text:
    calendar = f"{reckoned.calendar} {reckoned.version}"
    zh_sure, en_sure = (
        (
            "部分年份的放假安排尚未公布，此日期为暂定。",
            " Not every year's holidays are announced yet: the date is provisional.",
        )
        if reckoned.provisional
        else ("", "")
    )
    if reckoned.due is None:
        if deadline.state is State.WITHDRAWN:
            return Text(zh="期限已撤销。", en="The deadline was withdrawn.")
        why = deadline.standing.pauses[-1].why
        return Text(
            zh=f"计时已暂停（{why.zh}），恢复后确定届满日。",
            en=f"The clock is paused ({why.en}); the due date follows when it resumes.",
        )
    if deadline.terms.limit.unit is Unit.HOURS:
        zh = en = _moment(reckoned.due)
    else:
        zh, en = f"{reckoned.due_date} 24:00", f"the end of {reckoned.due_date}"
    return Text(
        zh=f"于 {zh} 届满（北京时间；日历 {calendar}）。{zh_sure}",
        en=f"Due by {en} (Beijing time; calendar {calendar}).{en_sure}",
    )


def _reason(span: Span) -> tuple[str, str]:
    zh, en = _REASONS[span.why]
    if span.occasion is not None:
        zh, en = f"{zh}（{span.occasion.zh}）", f"{en} ({span.occasion.en})"
    return (f"{zh}（暂定）", f"{en} (provisional)") if span.provisional else (zh, en)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(CHINA):%Y-%m-%d %H:%M}"
