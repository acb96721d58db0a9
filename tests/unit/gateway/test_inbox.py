# SPDX-License-Identifier: Apache-2.0
"""Who may work on a task, for whom, and in whose hands it is."""

from datetime import UTC, date, datetime

import pytest

from services.gateway.domain.inbox import (
    Absence,
    Custody,
    Queue,
    claim,
    hand_over,
    hands_of,
    must_be_sound,
    must_hold,
    must_take,
    place_of,
    release,
)
from services.gateway.domain.refusals import (
    AbsenceInvalid,
    ClerkAbsent,
    ClerkNotCompetent,
    TaskHeld,
    TaskNotHeld,
    TaskNotOpen,
)
from services.gateway.workflows import read_agencies
from services.kit.errors import StartupError
from services.kit.text import Text
from tests.support.gateway_inbox import ALICE, BOB, CAROL, QUEUE, ROSTER, clerk
from tests.support.gateway_matters import POLICE

TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
FREE = Custody(live=True, version=1)
ALICES = Custody(live=True, version=2, holder=ALICE, since=NOW)


def away(who: str, substitute: str, first: date = TODAY, last: date = TODAY) -> Absence:
    return Absence(who, first, last, substitute)


def test_the_first_queue_that_takes_a_task_gets_it_and_what_none_takes_goes_to_the_system() -> None:
    every = Queue("every", Text("全", "All"), "general", matters=frozenset({"sample"}))
    assert place_of([QUEUE, every], POLICE, "answer", "sample", {}).queue == "complaints"
    assert place_of([QUEUE, every], POLICE, "other", "sample", {}).queue == "every"
    assert place_of([QUEUE, every], POLICE, "other", "birth", {}).queue == ""
    assert place_of([], POLICE, "answer", "sample", {}).queue == ""


def test_a_task_belongs_to_the_region_that_it_names_or_to_that_of_its_department() -> None:
    assert place_of([QUEUE], POLICE, "answer", "sample", {"place": "990102003"}).region == "990102003"
    assert place_of([QUEUE], POLICE, "answer", "sample", {}).region == "990100"
    assert place_of([QUEUE], POLICE, "answer", "sample", {"place": "在街角"}).region == "990100"


def test_a_clerk_works_within_skill_and_jurisdiction() -> None:
    city, district = clerk(ALICE), clerk(CAROL, "990102")
    assert city.works_on("complaints", "990102")
    assert district.works_on("complaints", "990102003")
    assert not district.works_on("complaints", "990100")
    assert not city.works_on("permits", "990100")


def test_a_substitute_acts_for_who_is_away_today_through_substitutes_as_well() -> None:
    absences = [away(ALICE, BOB), away(BOB, CAROL)]
    assert hands_of(CAROL, ROSTER, absences, TODAY).ids == {ALICE, BOB, CAROL}
    assert hands_of(BOB, ROSTER, absences, TODAY).ids == {ALICE, BOB}
    later = date(2026, 11, 24)
    assert hands_of(CAROL, ROSTER, absences, later).ids == {CAROL}


def test_two_who_stand_in_for_each_other_are_no_endless_chain() -> None:
    absences = [away(ALICE, BOB), away(BOB, ALICE)]
    assert hands_of(ALICE, ROSTER, absences, TODAY).ids == {ALICE, BOB}


def test_a_substitute_has_the_competence_of_whom_they_stand_in_for() -> None:
    absences = [away(ALICE, CAROL)]
    assert hands_of(CAROL, ROSTER, absences, TODAY).works_on(QUEUE, "990100")
    assert not hands_of(CAROL, ROSTER, [], TODAY).works_on(QUEUE, "990100")


def test_who_comes_second_is_told_who_was_first_and_since_when() -> None:
    held = claim(FREE, ALICE, NOW)
    assert (held.holder, held.version) == (ALICE, 2)
    assert claim(held, ALICE, NOW) == held
    with pytest.raises(TaskHeld, match=f"{ALICE} holds the task since 2026-11-23T02:00:00") as refused:
        claim(held, BOB, NOW)
    assert refused.value.metadata["holder"] == ALICE


def test_only_who_holds_a_task_puts_it_back_or_answers_it() -> None:
    alone = hands_of(BOB, ROSTER, [], TODAY)
    standing_in = hands_of(BOB, ROSTER, [away(ALICE, BOB)], TODAY)
    with pytest.raises(TaskHeld):
        release(ALICES, alone)
    with pytest.raises(TaskNotHeld):
        must_hold(FREE, alone)
    assert release(ALICES, standing_in).holder == ""


def test_nothing_is_done_with_a_task_that_has_ended() -> None:
    ended = Custody(live=False, version=3, holder=ALICE, since=NOW, closed="done")
    with pytest.raises(TaskNotOpen, match=f"done by {ALICE}"):
        claim(ended, BOB, NOW)
    with pytest.raises(TaskNotOpen, match=f"done by {ALICE}"):
        hand_over(ended, ROSTER[1], NOW)


def test_a_task_is_given_only_to_who_may_and_can_work_on_it() -> None:
    must_take(ROSTER[0], QUEUE, "990100", [], TODAY)
    with pytest.raises(ClerkNotCompetent):
        must_take(ROSTER[2], QUEUE, "990100", [], TODAY)
    with pytest.raises(ClerkAbsent, match=f"until 2026-11-23; {BOB} stands in"):
        must_take(ROSTER[0], QUEUE, "990100", [away(ALICE, BOB)], TODAY)


@pytest.mark.parametrize(
    ("first", "last", "substitute", "field"),
    [
        (TODAY, date(2026, 11, 22), BOB, "last"),
        (TODAY, date(2027, 11, 24), BOB, "last"),
        (TODAY, TODAY, ALICE, "substitute"),
    ],
)
def test_an_absence_has_days_in_order_and_another_to_stand_in(
    first: date, last: date, substitute: str, field: str
) -> None:
    with pytest.raises(AbsenceInvalid) as refused:
        must_be_sound(Absence(ALICE, first, last, substitute))
    assert [one.field for one in refused.value.violations] == [field]
    must_be_sound(Absence(ALICE, TODAY, date(2027, 11, 23), BOB))


def test_queues_and_clerks_stand_in_the_list_of_agencies() -> None:
    text = """
agencies:
  - key: desk
    uscc: "11990100000001046G"
    name_zh: 热线
    name_en: Hotline
    queues: [{id: complaints, title_zh: 投诉, title_en: Complaints, skill: complaints, matters: [complaint]}]
    clerks: [{id: clerk-1, name_zh: 坐席一, name_en: Clerk 1, region: "9901", skills: [complaints]}]
"""
    desk = read_agencies(text, "agencies.yaml")["desk"]
    assert desk.queues[0].takes("anything", "complaint")
    assert desk.clerks[0].works_on("complaints", "990100")
    with pytest.raises(StartupError, match="no list of agencies"):
        read_agencies(text.replace("skill: complaints,", ""), "agencies.yaml")
