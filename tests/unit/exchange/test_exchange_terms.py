# SPDX-License-Identifier: Apache-2.0
"""A grant executes: predicate, questions, consent, rate, hours and methods."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.exchange.domain.conditions import Condition, ConditionMalformed, Program, Question, full_years
from services.exchange.domain.hours import Hours, Opening, Window
from services.exchange.domain.inquiry import Ask, Subject, SubjectKind
from services.exchange.domain.terms import Method, Terms, term_faults
from services.exchange.service.explaining import Explain
from services.exchange.service.quotas import GRANTS_MAX, Quotas
from services.kit.errors import NotFound, Refusal, RequestInvalid
from tests.support.exchange_terms import IN_SPRING_LANE, IS_DAUGHTER, IS_SON, OFFICE_HOURS
from tests.support.exchange_world import (
    CITIZEN,
    HEALTH,
    HOSPITAL,
    HOSPITAL_CALLER,
    HOUSEHOLD,
    NUMBER,
    OPERATOR,
    OWN_PER_DAY,
    RECORD,
    SUBJECT_ID,
    World,
    a_query,
    a_verification,
    asking,
    household,
)

FIELDS = ("age", "born", "name")
TODAY = "2026-11-20"
BY_SUBJECT_ID = Subject(SubjectKind.SUBJECT_ID, SUBJECT_ID)


@pytest.mark.parametrize(
    ("expression", "record", "answer"),
    [
        ("record.age >= 60", {"age": 60}, True),
        ("record.age >= 60", {"age": 59.0}, False),
        ("record.age >= 60", {"age": None}, None),
        ("record.age >= 60", {}, None),
        ("record.age >= 60", {"age": "60"}, None),
        ("record.age", {"age": True}, True),
        ("record.age", {"age": 60}, None),
        ("full_years(record.born, today) >= 60", {"born": "1966-11-20"}, True),
        ("full_years(record.born, today) >= 60", {"born": "1966-11-21"}, False),
        ("full_years(record.born, today) >= 60", {"born": "long ago"}, None),
        ("record.name in ['a', 'b'] && has(record.age)", {"name": "b", "age": 1}, True),
        ("has(record.age)", {"age": None}, False),
        ("record.name == 'a'", {"name": None}, None),
        ("record.name == 'a' || record.age > 1", {"name": None, "age": 2}, True),
        ("record.name == 'record.gone'", {"name": "record.gone"}, True),
        ("1 / record.age > 0", {"age": 0}, None),
    ],
)
def test_a_condition_answers_true_false_or_unknown(
    expression: str, record: dict[str, Any], answer: bool | None
) -> None:
    assert Program(expression, FIELDS).answer(record, TODAY) is answer


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "record.age >=",
        "true",
        "today == '2026-11-20'",
        "record.gone == 1",
        "size(record) == 3",
        "record['age'] == 1",
        "[record] == []",
        "other.age == 1 && record.age == 1",
        "[1, 2].exists(x, x == record.age)",
        "[1, 2].map(x, x + record.age).size() > 0",
        "record.name.matches('(a+)+$')",
        "type(record.age) == int",
        "record.age == 1 && record.age == 1".ljust(501),
        "(" * 200 + "record.age" + ")" * 200,
    ],
)
def test_what_a_condition_must_not_say_is_refused(expression: str) -> None:
    with pytest.raises(ConditionMalformed):
        Program(expression, FIELDS)


def test_what_can_not_be_judged_says_nothing_of_the_values() -> None:
    with pytest.raises(ConditionMalformed) as malformed:
        Program("record.age >= 'SECRET", FIELDS)
    assert "SECRET" not in str(malformed.value)


def test_years_are_completed_on_the_day_itself() -> None:
    assert (full_years("2000-02-29", "2021-02-28"), full_years("2000-02-29", "2021-03-01")) == (20, 21)


def test_terms_that_can_not_be_executed_are_named_at_once() -> None:
    terms = Terms(
        methods=(Method.QUERY, Method.QUERY),
        predicate=Condition("record.gone", "", "x"),
        questions=(Question("age", Condition("record.age > 1", "是", "Is")), IS_SON, IS_SON),
        rate_per_second=-1,
        hours=Hours((Window(600, 500),)),
    )
    faults = [each.field.removeprefix("grant.terms.") for each in term_faults(terms, (*FIELDS, "relation"))]
    assert faults == [
        "methods",
        "questions",
        "rate_per_second",
        "hours",
        "predicate.expression",
        "predicate",
        "questions[0].name",
    ]


def at(hour: int, minute: int = 0, day: int = 20) -> datetime:
    """An hour of November 2026 in China; the 20th is a Friday."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC) - timedelta(hours=8)


@pytest.mark.parametrize(
    ("now", "is_open", "hours_to_next"),
    [
        (at(9), True, 0),
        (at(8, 59), False, 1 / 60),
        (at(12), False, 2),
        (at(17, 59), True, None),
        (at(18), False, 63),
        (at(10, day=21), False, 47),
    ],
)
def test_hours_are_counted_in_china_and_on_working_days(
    now: datetime, is_open: bool, hours_to_next: float | None
) -> None:
    opening = Opening(OFFICE_HOURS, lambda day: day.weekday() < 5)
    assert opening.is_open(now) is is_open
    if hours_to_next is not None:
        assert opening.opens_in_seconds(now) == pytest.approx(hours_to_next * 3600)


def test_hours_that_never_come_have_no_next() -> None:
    assert Opening(OFFICE_HOURS, lambda _: False).opens_in_seconds(at(9)) is None


async def granted(terms: Terms, **changes: Any) -> World:
    world = World()
    await world.granted(terms=terms, **changes)
    return world


def an_ask(*questions: str, **changes: Any) -> Ask:
    return replace(Ask(HOUSEHOLD, Subject(SubjectKind.NUMBER, NUMBER), questions, "birth", "990100/x/1"), **changes)


async def refused(world: World, coroutine: Any) -> Refusal:
    with asking(), pytest.raises(Refusal) as refusal:
        await coroutine
    assert world.last_leaf.outcome == refusal.value.reason
    return refusal.value


async def test_a_record_outside_the_predicate_reads_as_none_and_leaves_the_same_trace() -> None:
    world = await granted(Terms(predicate=IN_SPRING_LANE, questions=(IS_DAUGHTER,)))
    with asking() as caller:
        inside = await world.queries.query(a_query(fields=("household_number",)), caller)
        assert inside.values == {"household_number": "H-1"}
        assert set(world.provider.asked[-1].fields) == {"household_number", "address"}
        seen = []
        for record in ({**RECORD, "address": "2 Autumn Lane"}, {**RECORD, "address": None}, None):
            world.provider.record = record
            with pytest.raises(NotFound) as missing:
                await world.queries.query(a_query(fields=("household_number",)), caller)
            compared = await world.queries.verify(a_verification(head_name="Li Wei"), caller)
            asked = await world.queries.ask(an_ask("is_daughter"), caller)
            seen.append((str(missing.value), compared.fields, asked.answers, world.leaves[-3:]))
    assert seen[0] == seen[1] == seen[2]
    assert (seen[0][1], seen[0][2]) == ({"head_name": False}, {"is_daughter": None})


async def test_a_question_is_answered_without_a_value() -> None:
    world = await granted(Terms(questions=(IS_DAUGHTER, IS_SON)))
    with asking() as caller:
        asked = await world.queries.ask(an_ask("is_daughter", "is_son"), caller)
        assert asked.answers == {"is_daughter": True, "is_son": False}
        world.provider.record = {**RECORD, "relation": None}
        assert (await world.queries.ask(an_ask("is_son"), caller)).answers == {"is_son": None}
    assert world.provider.asked[0].fields == ("relation",)
    assert (world.leaves[0].operation, world.leaves[0].fields) == ("ask", ("is_daughter", "is_son", "relation"))


async def test_only_questions_of_the_grant_are_answered() -> None:
    world = await granted(Terms(questions=(IS_SON,)))
    refusal = await refused(world, world.queries.ask(an_ask("is_son", "is_daughter"), HOSPITAL_CALLER))
    assert (refusal.reason, world.provider.asked) == ("QUESTION_NOT_GRANTED", [])
    reason = (await refused(world, world.queries.query(a_query(fields=("relation",)), HOSPITAL_CALLER))).reason
    assert reason == "FIELD_NOT_GRANTED"


async def test_a_grant_whose_predicate_lost_its_field_gives_nothing() -> None:
    world = await granted(Terms(predicate=IN_SPRING_LANE, questions=(IS_SON,)))
    narrower = household(fields=tuple(each for each in household().fields if each.name != "address"))
    await world.catalogue.put_resource(narrower, OPERATOR)
    for call in (
        world.queries.query(a_query(fields=("household_number",)), HOSPITAL_CALLER),
        world.queries.verify(a_verification(head_name="Li Wei"), HOSPITAL_CALLER),
        world.queries.ask(an_ask("is_son"), HOSPITAL_CALLER),
    ):
        assert (await refused(world, call)).reason in {"FIELD_NOT_GRANTED", "QUESTION_NOT_GRANTED"}
    assert world.provider.asked == []


async def test_a_question_that_lost_its_field_can_not_be_asked() -> None:
    world = await granted(Terms(questions=(IS_SON,)))
    narrower = household(fields=tuple(each for each in household().fields if each.name != "relation"))
    await world.catalogue.put_resource(narrower, OPERATOR)
    assert (await refused(world, world.queries.ask(an_ask("is_son"), HOSPITAL_CALLER))).reason == "QUESTION_NOT_GRANTED"


async def test_a_grant_by_consent_answers_only_who_consented_and_the_resident_themselves() -> None:
    world = await granted(Terms(consent=True))
    assert (await refused(world, world.queries.query(a_query(), HOSPITAL_CALLER))).reason == "CONSENT_MISSING"
    assert world.provider.asked == []
    with asking(CITIZEN):
        await world.queries.query(a_query(subject=BY_SUBJECT_ID, on_behalf_of=HOSPITAL), CITIZEN)
    world.consents.subjects.add(SUBJECT_ID)
    with asking() as caller:
        await world.queries.query(a_query(), caller)


async def test_more_calls_a_second_than_granted_wait() -> None:
    world = await granted(Terms(rate_per_second=2))
    with asking() as caller:
        for _ in range(2):
            await world.queries.query(a_query(), caller)
    refusal = await refused(world, world.queries.query(a_query(), HOSPITAL_CALLER))
    assert (refusal.reason, refusal.retry_after_seconds) == ("RATE_EXCEEDED", 0.5)
    world.later(0.5)
    with asking() as caller:
        await world.queries.query(a_query(), caller)
    await refused(world, world.queries.query(a_query(), HOSPITAL_CALLER))
    world.later(3600)
    await world.rulebook.refresh()
    with asking() as caller:
        for _ in range(2):
            await world.queries.query(a_query(), caller)
    await refused(world, world.queries.query(a_query(), HOSPITAL_CALLER))


async def test_outside_its_hours_a_grant_answers_nobody_and_says_when() -> None:
    world = await granted(Terms(hours=OFFICE_HOURS))  # NOW is Friday 17:00 in China.
    with asking() as caller:
        await world.queries.query(a_query(), caller)
    world.later(3600)
    await world.rulebook.refresh()
    refusal = await refused(world, world.queries.query(a_query(), HOSPITAL_CALLER))
    assert (refusal.reason, refusal.retry_after_seconds) == ("OUTSIDE_HOURS", 63 * 3600)


async def test_another_grant_serves_where_the_newest_is_closed() -> None:
    world = await granted(Terms())
    world.later(3600)
    closed = await world.granted(terms=Terms(hours=OFFICE_HOURS))
    with asking() as caller:
        assert (await world.queries.query(a_query(), caller)).grant_id != closed.grant_id


async def test_a_method_that_the_grant_does_not_allow_is_refused() -> None:
    world = await granted(Terms(methods=(Method.VERIFY,)))
    assert (await refused(world, world.queries.query(a_query(), HOSPITAL_CALLER))).reason == "METHOD_NOT_GRANTED"
    with pytest.raises(Refusal) as refusal:
        await world.rulebook.permit_query(HOSPITAL, HOUSEHOLD, purpose="birth", fields=(), method=Method.BATCH)
    assert refusal.value.reason == "METHOD_NOT_GRANTED"


async def test_batches_need_to_be_said() -> None:
    world = await granted(Terms(methods=(Method.BATCH,)))
    permit = await world.rulebook.permit_query(HOSPITAL, HOUSEHOLD, purpose="birth", fields=(), method=Method.BATCH)
    assert permit.fields == ("household_number", "address")


# ---- explain ---------------------------------------------------------------------------------------------------------


def an_explain(**changes: Any) -> Explain:
    return replace(Explain(HOUSEHOLD, "birth", Method.QUERY), **changes)


async def test_explain_says_what_would_be_seen_and_touches_nothing() -> None:
    world = await granted(Terms(predicate=IN_SPRING_LANE, questions=(IS_SON,), hours=OFFICE_HOURS), daily_quota=50)
    found = await world.explainer.explain(an_explain(), HOSPITAL_CALLER)
    assert found.permit is not None
    assert found.permit.fields == ("household_number", "address")
    (grant,) = found.grants
    assert (grant.quota_left, grant.open, grant.expired) == (50, True, False)
    assert grant.grant.terms.predicate == IN_SPRING_LANE
    asked = await world.explainer.explain(
        an_explain(method=Method.VERIFY, questions=("is_son",), grantee=HOSPITAL), OPERATOR
    )
    assert asked.questions == (IS_SON,)
    assert (world.leaves, world.provider.asked, world.store.rows.counts) == ([], [], {})


async def test_explain_says_why_nothing_would_be_seen() -> None:
    world = await granted(Terms(hours=OFFICE_HOURS), daily_quota=1)
    with asking() as caller:
        await world.queries.query(a_query(), caller)
    used_up = await world.explainer.explain(an_explain(), HOSPITAL_CALLER)
    assert (used_up.refusal and used_up.refusal.reason, used_up.grants[0].quota_left) == ("QUOTA_EXCEEDED", 0)
    world.later(2 * 3600)
    await world.rulebook.refresh()
    closed = await world.explainer.explain(an_explain(), HOSPITAL_CALLER)
    assert closed.refusal is not None
    assert closed.refusal.reason == "OUTSIDE_HOURS"
    assert closed.grants[0].open_time == datetime(2026, 11, 23, 1, tzinfo=UTC)
    nothing = await world.explainer.explain(an_explain(resource="307009/1"), HOSPITAL_CALLER)
    assert nothing.refusal is not None
    assert (nothing.refusal.reason, nothing.grants) == ("NO_GRANT", ())


async def test_an_agency_explains_itself_and_an_operator_anyone() -> None:
    world = await granted(Terms())
    with pytest.raises(RequestInvalid):
        await world.explainer.explain(an_explain(grantee=HEALTH), HOSPITAL_CALLER)
    with pytest.raises(RequestInvalid):
        await world.explainer.explain(an_explain(), OPERATOR)
    other = await world.explainer.explain(an_explain(grantee=HEALTH), OPERATOR)
    assert other.refusal is not None


# ---- quotas ----------------------------------------------------------------------------------------------------------


async def test_calls_counted_ahead_for_a_grant_that_had_to_be_forgotten_are_given_back() -> None:
    world = World()
    quotas = Quotas(world.store, own_per_day=OWN_PER_DAY, clock=world.clock, monotonic=world.monotonic)
    await quotas.take("first", 1000)
    assert await quotas.left("first", 1000) == 999
    for number in range(GRANTS_MAX):
        quotas._blocks[f"grant-{number}"] = type(quotas._blocks["first" if not number else f"grant-{number - 1}"])()
    assert "first" not in quotas._blocks
    await quotas.take("last", 1000)
    assert await quotas.left("first", 1000) == 999
