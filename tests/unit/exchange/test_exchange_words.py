# SPDX-License-Identifier: Apache-2.0
"""What a resource is found by, and what differs between two versions of it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.exchange.domain.metadata import Metadata, Opening, UpdateCycle, classification_of
from services.exchange.domain.resource import Resource, ResourceField, Sensitivity, SharingClass, check_resource
from services.exchange.domain.search import COUNT_MAX, Found, ask, held_in, rarity, score
from services.exchange.domain.version import differences, places
from services.exchange.domain.words import TERMS_MAX, Place, index_terms, stem, words_of
from services.kit.errors import RequestInvalid
from tests.support.exchange_world import household


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("marriages", "marriage"),
        ("registered", "registers"),
        ("families", "family"),
        ("licenses", "license"),
        ("housing", "houses"),
        ("Ｈｏｕｓｅｈｏｌｄ".casefold(), "ｈｏｕｓｅｈｏｌｄｓ"),
    ],
)
def test_endings_of_english_words_do_not_count(one: str, other: str) -> None:
    assert list(words_of(one)) == list(words_of(other))


def test_short_words_and_numbers_stay_whole() -> None:
    assert [stem(word) for word in ("tax", "bus", "class", "307001")] == ["tax", "bus", "class", "307001"]


def test_chinese_is_cut_into_pairs_and_stop_words_go() -> None:
    assert list(words_of("户籍信息 of the 户")) == ["户籍", "籍信", "信息", "户"]


def test_the_best_place_of_a_word_counts() -> None:
    terms = index_terms(household(metadata=Metadata(abstract_zh="居民婚姻", opening=Opening.CLOSED)))
    assert terms["居民"] is Place.NAME
    assert terms["address"] is Place.ITEM
    assert terms["婚姻"] is Place.ABSTRACT
    assert {"provider:11990100000001046G", "class:conditional", "theme:3", "theme:307", "opening:closed"} <= set(terms)


def test_a_retired_resource_is_found_by_nothing() -> None:
    assert index_terms(household(retired=True)) == {}


def test_an_entry_has_a_bounded_number_of_words() -> None:
    long = "".join(chr(0x4E00 + number) for number in range(2000))
    terms = index_terms(household(metadata=Metadata(abstract_zh=long)))
    assert len(terms) == TERMS_MAX
    assert "居民" in terms


@pytest.mark.parametrize("text", ["", "  ", "，。！", "of the"])
def test_a_question_without_words_and_filters_is_refused(text: str) -> None:
    with pytest.raises(RequestInvalid):
        ask(text)


def test_a_rare_word_in_a_name_outweighs_frequent_ones_elsewhere() -> None:
    rarities = {"婚姻": rarity(3), "信息": rarity(COUNT_MAX)}
    assert rarities == {"婚姻": 9, "信息": 1}
    rare = Found("a", {"婚姻": Place.NAME, "信息": None})
    frequent = Found("b", {"婚姻": None, "信息": Place.NAME})
    assert score(rare, ["婚姻", "信息"], rarities) > score(frequent, ["婚姻", "信息"], rarities)


def test_a_field_of_a_form_is_held_by_name_or_by_all_its_words() -> None:
    item = ResourceField("home_address", "家庭住址", "Home address", Sensitivity.SENSITIVE)
    resource = household(fields=(item,))
    exact, near = held_in(resource, "家庭 住址"), held_in(resource, "住址")
    assert exact is not None
    assert exact.exact
    assert near is not None
    assert not near.exact
    assert held_in(resource, "户号") is None


def test_a_code_tells_its_classification() -> None:
    parts = classification_of("30700112/000001")
    assert (parts.category, parts.group, parts.section, parts.detail) == ("3", "07", "001", "12")


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        (Metadata(opening=Opening.CONDITIONAL), "opening_condition"),
        (Metadata(related=("307002/000001",)), "related"),
        (Metadata(related=("x",)), "related"),
        (Metadata(abstract_zh="x" * 2001), "abstract_zh"),
    ],
)
def test_metadata_that_can_not_stand_in_a_catalogue_is_refused(metadata: Metadata, field: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        check_resource(household(metadata=metadata), region="990100")
    assert [each.field for each in refused.value.violations] == [f"resource.metadata.{field}"]


def test_what_differs_is_told_by_place() -> None:
    before = household(metadata=Metadata(update_cycle=UpdateCycle.DAILY))
    after = replace(before, name_en="Register", fields=before.fields[1:], metadata=Metadata(), revision=9)
    told = {each.path: (each.before, each.after) for each in differences(before, after)}
    assert told["name_en"] == ("Household register", "Register")
    assert told["metadata.update_cycle"] == ("daily", None)
    assert told["fields.household_number.name"] == ("household_number", None)
    assert not any(path.startswith(("fields.address", "revision")) for path in told)


items = st.builds(
    ResourceField,
    st.sampled_from("abcdef"),
    st.sampled_from("甲乙"),
    st.sampled_from("xy"),
    st.sampled_from(Sensitivity),
    length=st.integers(0, 3),
)
versions = st.builds(
    household,
    name_zh=st.sampled_from("甲乙"),
    sharing_class=st.sampled_from(SharingClass),
    retired=st.booleans(),
    fields=st.lists(items, max_size=4, unique_by=lambda each: each.name).map(tuple),
    metadata=st.builds(Metadata, abstract_zh=st.sampled_from(["", "甲"]), opening=st.none() | st.sampled_from(Opening)),
)


@given(versions, versions)
def test_a_difference_carries_one_version_into_the_other(before: Resource, after: Resource) -> None:
    carried: dict[str, Any] = places(before)
    for each in differences(before, after):
        assert carried.get(each.path) == each.before
        carried.pop(each.path, None)
        if each.after is not None:
            carried[each.path] = each.after
    assert carried == places(after)
