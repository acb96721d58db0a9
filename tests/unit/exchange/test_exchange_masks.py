# SPDX-License-Identifier: Apache-2.0
"""Nothing leaves that was not granted: random resources, grants, questions and answers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.exchange.domain.answer import accept
from services.exchange.domain.grant import Grant
from services.exchange.domain.permit import CompiledGrant, Permit, permit_query, permit_verify
from services.exchange.domain.permit import compile_grant as compile_with_calendar
from services.exchange.domain.refusals import (
    FieldNotGranted,
    GrantExpired,
    NoGrant,
    ProviderAnswerInvalid,
    PurposeNotGranted,
    SharingRefused,
)
from services.exchange.domain.resource import Resource, ResourceField, Sensitivity, SharingClass
from services.kit.errors import Refusal
from tests.support.exchange_world import NOW, NUMBER, a_grant, household

NAMES = tuple("abcdefgh")
names = st.lists(st.sampled_from(NAMES), unique=True, max_size=8).map(tuple)
values = st.one_of(st.text(max_size=5), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers()))
records = st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text(max_size=5)), values)


def compile_grant(given: Grant, resource: Resource) -> CompiledGrant:
    return compile_with_calendar(given, resource, is_working_day=lambda _: True)


def resource_of(fields: Sequence[str]) -> Resource:
    return household(fields=tuple(ResourceField(name, "字", name, Sensitivity.PERSONAL) for name in fields))


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    return a_grant(
        fields=draw(names),
        verify_fields=draw(names),
        purposes=draw(st.sampled_from([("birth",), ("school",), ("birth", "school")])),
        expire_time=NOW + timedelta(seconds=draw(st.integers(-2, 2))),
    )


@settings(max_examples=400)
@given(
    fields=names,
    held=st.lists(grants(), max_size=4),
    asked=names,
    purpose=st.sampled_from(["birth", "school", "war"]),
    record=records,
)
def test_no_field_outside_the_grants_ever_appears(
    fields: tuple[str, ...], held: list[Grant], asked: tuple[str, ...], purpose: str, record: dict[str, object]
) -> None:
    resource = resource_of(fields)
    compiled = [compile_grant(each, resource) for each in held]
    try:
        permit = permit_query(resource, compiled, purpose=purpose, fields=asked, now=NOW)
        answer = accept(record, fields=permit.fields, subject_key=NUMBER)
    except Refusal:
        return
    using = next(each for each in held if each.grant_id == permit.grant_id)
    assert using.expire_time > NOW
    assert purpose in using.purposes
    assert set(answer) <= set(using.fields) & set(fields)
    assert not asked or set(answer) == set(asked)


@settings(max_examples=200)
@given(fields=names, held=st.lists(grants(), max_size=4), asked=names.filter(bool))
def test_nothing_outside_the_grants_is_ever_compared(
    fields: tuple[str, ...], held: list[Grant], asked: tuple[str, ...]
) -> None:
    resource = resource_of(fields)
    compiled = [compile_grant(each, resource) for each in held]
    try:
        permit = permit_verify(resource, compiled, purpose="birth", fields=asked, now=NOW)
    except Refusal:
        return
    using = next(each for each in held if each.grant_id == permit.grant_id)
    assert set(permit.fields) <= set(using.verify_fields) & set(fields)


def permit_for(
    *held: Grant, resource: Resource | None = None, purpose: str = "birth", fields: Sequence[str] = ()
) -> Permit:
    resource = resource or household()
    compiled = [compile_grant(each, resource) for each in held]
    return permit_query(resource, compiled, purpose=purpose, fields=fields, now=NOW)


def test_a_question_without_fields_gets_all_that_are_granted() -> None:
    assert permit_for(a_grant()).fields == ("household_number", "address")


def test_a_field_asked_for_twice_is_given_once() -> None:
    assert permit_for(a_grant(), fields=["address", "address"]).fields == ("address",)


def test_without_a_grant_nothing_is_permitted() -> None:
    with pytest.raises(NoGrant):
        permit_for()


def test_an_unknown_resource_reads_like_a_missing_grant() -> None:
    with pytest.raises(NoGrant):
        permit_query(None, [], purpose="birth", fields=[], now=NOW)


def test_a_grant_holds_until_the_moment_before_its_last() -> None:
    permit_for(a_grant(expire_time=NOW + timedelta(microseconds=1)))
    with pytest.raises(GrantExpired):
        permit_for(a_grant(expire_time=NOW))


def test_another_purpose_is_not_permitted() -> None:
    with pytest.raises(PurposeNotGranted):
        permit_for(a_grant(), purpose="school")


def test_a_field_outside_the_grant_refuses_the_whole_question() -> None:
    with pytest.raises(FieldNotGranted):
        permit_for(a_grant(), fields=["address", "relation"])


def test_two_grants_are_not_added_up_for_one_question() -> None:
    with pytest.raises(FieldNotGranted):
        permit_for(a_grant(fields=("address",)), a_grant(fields=("relation",)), fields=["address", "relation"])


def test_a_wider_grant_serves_where_the_newest_does_not() -> None:
    newest, wider = a_grant(fields=("address",)), a_grant(fields=("address", "relation"))
    assert permit_for(newest, wider, fields=["relation"]).grant_id == wider.grant_id


def test_a_grant_to_compare_shows_nothing() -> None:
    with pytest.raises(FieldNotGranted):
        permit_for(a_grant(fields=()))


def test_a_resource_that_may_not_be_shared_refuses_in_spite_of_grants() -> None:
    with pytest.raises(SharingRefused):
        permit_for(a_grant(), resource=household(sharing_class=SharingClass.REFUSED))


def test_a_field_that_the_resource_lost_is_gone_from_the_grant() -> None:
    narrower = household(fields=tuple(each for each in household().fields if each.name != "address"))
    assert permit_for(a_grant(), resource=narrower).fields == ("household_number",)
    with pytest.raises(FieldNotGranted):
        permit_for(a_grant(), resource=narrower, fields=["address"])


@pytest.mark.parametrize(
    "raw",
    [
        None,
        ["address"],
        "address",
        {"address": ["1 Spring Lane"]},
        {"address": {"street": "Spring Lane"}},
        {"address": b"1 Spring Lane"},
        {"address": float("nan")},
        {"address": float("inf")},
        {"address": 2**53 + 1},
        {"address": "x" * 1_000_001},
        {"address": "界" * 333_334},
        {"address": "\ud800"},
        {"address": "x", "subject_key": "990100199003070028"},
        {"address": "x", "subject_key": 7},
        {str(number): 0 for number in range(1001)},
    ],
)
def test_an_answer_that_can_not_be_believed_is_refused_as_a_whole(raw: object) -> None:
    with pytest.raises(ProviderAnswerInvalid):
        accept(raw, fields=("address",), subject_key=NUMBER)


def test_an_answer_gives_exactly_what_was_permitted() -> None:
    raw = {"address": "x", "relation": "y", "unknown": ["z"], "subject_key": NUMBER.lower()}
    assert accept(raw, fields=("address", "head_name"), subject_key=NUMBER) == {"address": "x", "head_name": None}


@pytest.mark.parametrize("value", ["", "x" * 1_000_000, 0, -(2**53), 1.5, True, None])
def test_scalars_pass(value: object) -> None:
    assert accept({"address": value}, fields=("address",), subject_key=NUMBER) == {"address": value}


def test_grants_are_compiled_against_the_resource_as_it_is() -> None:
    grant = a_grant(verify_fields=("head_name", "gone"))
    compiled = compile_grant(replace(grant, fields=("address", "gone")), household())
    assert compiled.mask == {"address"}
    assert compiled.verify_mask == {"head_name"}
