# SPDX-License-Identifier: Apache-2.0
"""Working days: every day of the published years, and what is said of years that aren't."""

from datetime import date, timedelta
from pathlib import Path

import chinese_calendar
import pytest

from services.kit.calendar import Calendars, Why, published
from services.kit.calendar.published import FOLDER
from services.kit.calendar.published import published as read
from services.kit.errors import StartupError

CN = published().of("990100")
ONE_DAY = timedelta(days=1)


def test_every_day_of_the_published_years_is_as_the_other_library_says() -> None:
    day, last = date(2004, 1, 1), date(2026, 12, 31)
    other = []
    while day <= last:
        if CN.day(day).works != chinese_calendar.is_workday(day) or CN.day(day).provisional:
            other.append(day)
        day += ONE_DAY
    assert other == []
    assert CN.years == frozenset(range(2004, 2027))


def test_a_holiday_and_a_make_up_day_say_their_occasion() -> None:
    holiday, make_up = CN.day(date(2026, 2, 16)), CN.day(date(2026, 2, 28))
    assert (holiday.why, holiday.occasion and holiday.occasion.en) == (Why.HOLIDAY, "Spring Festival")
    assert (make_up.why, make_up.works, make_up.occasion and make_up.occasion.zh) == (Why.MAKE_UP, True, "春节")


@pytest.mark.parametrize(
    ("day", "works", "why"),
    [
        (date(2027, 1, 1), False, Why.HOLIDAY),
        (date(2027, 5, 2), False, Why.HOLIDAY),
        (date(2027, 5, 3), True, Why.WORKING),
        (date(2027, 10, 1), False, Why.HOLIDAY),
        (date(2027, 10, 4), True, Why.WORKING),
        (date(2027, 2, 6), False, Why.WEEKEND),
        (date(2003, 12, 31), True, Why.WORKING),
    ],
)
def test_a_year_without_a_notice_is_provisional_and_knows_only_what_the_law_fixes(
    day: date, works: bool, why: Why
) -> None:
    seen = CN.day(day)
    assert (seen.works, seen.why, seen.provisional) == (works, why, True)


def test_a_nearer_calendar_holds_before_the_countrys() -> None:
    near = Calendars({"": CN, "65": published().of("")})
    assert near.of("650104") is near.of("65")
    assert near.of("440100") is CN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('jurisdictions: [""]', 'jurisdictions: ["44"]'),
        ('labor: ["05-09"]', 'labor: ["05-05"]'),
        ('labor: ["05-09"]', 'labour: ["05-09"]'),
        ('dragon_boat: ["06-19..06-21"]', 'dragon_boat: ["06-21..06-19"]'),
        ('dragon_boat: ["06-19..06-21"]', 'dragon_boat: ["06-31"]'),
        ("version: 1", "version: none"),
    ],
)
def test_a_calendar_with_a_mistake_stops_the_start(tmp_path: Path, old: str, new: str) -> None:
    text = (FOLDER / "cn.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "cn.yaml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(StartupError):
        read(tmp_path)


def test_two_calendars_of_one_jurisdiction_stop_the_start(tmp_path: Path) -> None:
    text = (FOLDER / "cn.yaml").read_text(encoding="utf-8")
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(text.replace("name: cn", f"name: {name}"), encoding="utf-8")
    with pytest.raises(StartupError, match="jurisdiction"):
        read(tmp_path)
