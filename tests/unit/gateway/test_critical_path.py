# SPDX-License-Identifier: Apache-2.0
"""The longest way through what is left, and the date that follows from it."""

from datetime import date
from graphlib import CycleError
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.critical_path import Activity, critical_path
from tests.support.gateway_clocks import Days, matter
from tests.support.gateway_matters import step


def test_the_longest_chain_is_found_and_what_takes_no_days_is_left_out() -> None:
    work = [
        Activity("birth", 1),
        Activity("license", 0, ("birth",)),
        Activity("household", 3, ("license",)),
        Activity("vaccination", 3),
        Activity("insurance", 2, ("household", "vaccination")),
    ]
    path = critical_path(work)
    assert path.days == 6
    assert path.ids == ("birth", "household", "insurance")
    assert path.ends == {"birth": 1, "license": 1, "household": 4, "vaccination": 3, "insurance": 6}


def test_nothing_takes_no_time_and_a_circle_none_that_anybody_knows() -> None:
    assert critical_path([]).days == 0
    with pytest.raises(CycleError):
        critical_path([Activity("a", 1, ("b",)), Activity("b", 1, ("a",))])


@given(st.lists(st.tuples(st.integers(0, 9), st.sets(st.integers(0, 9), max_size=3)), max_size=10), st.randoms())
def test_no_activity_ends_before_what_it_waits_for_and_the_order_does_not_matter(
    raw: list[tuple[int, set[int]]], random: Random
) -> None:
    work = [Activity(str(at), days, tuple(str(o) for o in after if o < at)) for at, (days, after) in enumerate(raw)]
    path = critical_path(work)
    for each in work:
        assert path.ends[each.id] >= each.days + max((path.ends[other] for other in each.after), default=0)
    assert path.days == max(path.ends.values(), default=0) == sum(int(raw[int(each)][0]) for each in path.ids)
    shuffled = list(work)
    random.shuffle(shuffled)
    assert critical_path(shuffled).ids == path.ids


def chain() -> Days:
    """Two departments after each other, beside a third."""
    steps = (
        step("one", limit={"promise": 3}),
        step("two", limit={"promise": 5}, needs=["one"]),
        step("aside", limit={"promise": 4}),
    )
    return Days(matter(*steps, limits={}), "2026-02-05")


async def test_the_end_follows_from_what_the_steps_promise_and_comes_nearer_with_each_that_is_early() -> None:
    days = chain()
    await days.submit()
    end = (await days.view()).expected_end
    assert end is not None
    assert end.day == date(2026, 2, 24)  # 3 and 5 working days from 02-05, over the Spring Festival
    assert [(each.step_id, each.days, each.end) for each in end.path] == [
        ("one", 3, date(2026, 2, 10)),
        ("two", 5, date(2026, 2, 24)),
    ]
    await days.work()
    end = (await days.view()).expected_end
    assert end is not None
    assert end.day == date(2026, 2, 12)
    assert [each.step_id for each in end.path] == ["two"]
    assert end.derivation[0].zh == "自 2026-02-05 起推算。"


async def test_who_is_late_takes_the_date_away_and_says_so() -> None:
    days = chain()
    await days.submit()
    await days.turn_to("2026-02-11")
    end = (await days.view()).expected_end
    assert end is not None
    assert end.day is None
    assert end.late == ("one",)
    assert "nobody can say" in end.derivation[-1].en


async def test_a_department_that_promises_nothing_leaves_the_end_unknown() -> None:
    days = Days(matter(step("work"), limits={}), "2026-02-05")
    await days.submit()
    end = (await days.view()).expected_end
    assert end is not None
    assert end.day is None
    assert end.without_promise == ("work",)


async def test_over_a_year_that_is_not_announced_the_end_is_provisional() -> None:
    days = Days(matter(step("work", limit={"promise": 20}), limits={}), "2026-12-21")
    await days.submit()
    end = (await days.view()).expected_end
    assert end is not None
    assert end.provisional
    assert end.day is not None
