# SPDX-License-Identifier: Apache-2.0
"""Hours: counted by the clock, except for pauses and excluded days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.kit.calendar.days import CHINA, ONE_DAY, Why, dawn
from services.kit.calendar.deadline import Standing
from services.kit.calendar.spans import Span
from services.kit.text import Text

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch that doesn't count; without an end while it lasts."""

    begin: datetime
    end: datetime | None
    why: Why
    occasion: Text


def uncounted(now: Standing) -> tuple[Gap, ...]:
    """Give the stretches that don't count, by their begin."""
    paused = [Gap(each.begin, each.end, Why.PAUSED, each.why) for each in now.pauses]
    excluded = [Gap(dawn(each.first), dawn(each.last + ONE_DAY), Why.EXCLUDED, each.why) for each in now.excluded]
    return tuple(sorted(paused + excluded, key=lambda gap: gap.begin))


def counted_until(start: datetime, gaps: Sequence[Gap], length: timedelta) -> tuple[datetime | None, tuple[Span, ...]]:
    """Give when `length` is used up, and the stretches until then; None where a gap that lasts comes first."""
    at, left, spans = start.astimezone(CHINA), length, list[Span]()

    def stretch(end: datetime) -> None:
        nonlocal at, left
        used = (length - left) // _HOUR
        left -= end - at
        if end > at:
            spans.append(Span(at, end, Why.NATURAL, None, used + 1, (length - left) // _HOUR, provisional=False))
        at = end

    for gap in gaps:
        if at + left <= gap.begin:
            break
        begin = max(at, gap.begin.astimezone(CHINA))
        stretch(begin)
        if gap.end is None:
            return None, tuple(spans)
        if gap.end > at:
            end = gap.end.astimezone(CHINA)
            spans.append(Span(at, end, gap.why, gap.occasion, 0, 0, provisional=False))
            at = end
    stretch(at + left)
    return at, tuple(spans)
