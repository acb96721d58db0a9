# SPDX-License-Identifier: Apache-2.0
"""Finding resources, and reading what they were, on the real store of either database."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from services.exchange.domain.metadata import Metadata, Opening, QualityMeasure, QualityRecorded
from services.exchange.domain.refusals import ResourceNotFound, ResourceNotOwned
from services.exchange.domain.resource import Resource, ResourceField, Sensitivity, SharingClass
from services.exchange.domain.search import Hit
from services.exchange.domain.version import By
from services.exchange.service.entries import EntryService
from services.exchange.service.search import SearchService
from services.exchange.service.upkeep import keep_indexed
from services.exchange.store import ExchangeStore
from services.exchange.store.catalogue import resource_term
from services.exchange.store.tables import resource
from services.kit.caller import Caller, CallerKind
from services.kit.errors import PageTokenInvalid, RequestIdReused, RequestInvalid, RightMissing
from services.kit.ids import new_id
from services.kit.paging import Page
from tests.support.exchange_stored import opened
from tests.support.exchange_world import HOSPITAL_CALLER, HOUSEHOLD, NOW, OPERATOR, POLICE, household

READER = HOSPITAL_CALLER
POLICE_CALLER = Caller(CallerKind.AGENCY, POLICE, frozenset({"exchange.catalogue", "exchange.read"}), agency=POLICE)
CIVIL = "11990100000001054B"


def entry(code: str, name_zh: str, name_en: str, items: str = "", **changes: Any) -> Resource:
    """A resource; `items` are Chinese labels."""
    fields = tuple(
        ResourceField(f"item_{number}", label, f"item {number}", Sensitivity.PERSONAL)
        for number, label in enumerate(items.split() or ["其他"])
    )
    return household(code=code, name_zh=name_zh, name_en=name_en, fields=fields, **changes)


CATALOGUE = [
    entry("307001/000001", "婚姻登记信息", "Marriage registration", "结婚证字号 配偶姓名", provider=CIVIL),
    entry("307002/000001", "户籍信息", "Household register", "户号 住址 户主姓名"),
    entry(
        "101001/000001", "人口基本信息", "Population", "姓名 住址 出生日期", metadata=Metadata(opening=Opening.CLOSED)
    ),
    entry(
        "307003/000001",
        "车辆信息",
        "Vehicles",
        "车牌号",
        sharing_class=SharingClass.UNCONDITIONAL,
        metadata=Metadata(abstract_zh="机动车登记所得", opening=Opening.UNCONDITIONAL),
    ),
]


@pytest.fixture
async def store(database: str, tmp_path: Path) -> AsyncIterator[ExchangeStore]:
    async with opened(database, tmp_path) as store:
        async with store.transaction() as tx:
            await tx.save_resources([(None, each) for each in CATALOGUE], now=NOW)
        yield store


async def find(store: ExchangeStore, text: str = "", **question: Any) -> Page[Hit]:
    asked = {"any_word": False, "page_size": 0, "page_token": "", "caller": READER, **question}
    return await SearchService(store).search(text, **asked)


async def codes(store: ExchangeStore, text: str = "", **question: Any) -> list[str]:
    return [each.resource.code for each in (await find(store, text, **question)).rows]


async def test_words_in_either_language_find_names_items_and_abstracts(store: ExchangeStore) -> None:
    assert await codes(store, "婚姻") == ["307001/000001"]
    assert await codes(store, "registered marriages") == ["307001/000001"]
    assert await codes(store, "住址") == ["101001/000001", "307002/000001"]
    assert await codes(store, "登记") == ["307001/000001", "307003/000001"], "a name counts for more than an abstract"
    assert await codes(store, "户") == ["307002/000001"]
    assert await codes(store, "307003/000001") == ["307003/000001"]
    assert await codes(store, "学历") == []


async def test_every_word_must_be_there_unless_one_will_do(store: ExchangeStore) -> None:
    assert await codes(store, "婚姻 住址") == []
    assert await codes(store, "婚姻 住址", any_word=True) == ["307001/000001", "101001/000001", "307002/000001"]


async def test_filters_narrow_and_stand_alone(store: ExchangeStore) -> None:
    assert await codes(store, "信息", provider=CIVIL) == ["307001/000001"]
    assert await codes(store, provider=CIVIL) == ["307001/000001"]
    assert await codes(store, sharing_class=SharingClass.UNCONDITIONAL) == ["307003/000001"]
    assert await codes(store, "住址", theme="1") == ["101001/000001"]
    assert await codes(store, theme="307") == ["307001/000001", "307002/000001", "307003/000001"]
    assert await codes(store, "信息", opening=Opening.CLOSED) == ["101001/000001"]
    assert await codes(store, "婚姻 住址", any_word=True, theme="1") == ["101001/000001"]


async def test_pages_give_every_hit_once_in_one_order(store: ExchangeStore) -> None:
    for question in ({}, {"any_word": True}):
        whole, paged, token = await codes(store, "信息", **question), [], ""
        while True:
            page = await find(store, "信息", page_size=1, page_token=token, **question)
            paged += [each.resource.code for each in page.rows]
            token = page.next_token
            if not token:
                break
        assert paged == whole
        assert len(whole) == 4


async def test_a_walk_goes_on_in_the_next_window(store: ExchangeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.exchange.service.search.WINDOW", 1)
    assert sorted(await codes(store, "信息 登记")) == ["307001/000001", "307003/000001"]
    assert len(await codes(store, "信息")) == 4


async def test_a_page_token_of_another_question_is_refused(store: ExchangeStore) -> None:
    token = (await find(store, "信息", page_size=1)).next_token
    for text, any_word in (("住址", False), ("信息", True)):
        with pytest.raises(PageTokenInvalid):
            await find(store, text, any_word=any_word, page_token=token)
    with pytest.raises(RequestInvalid):
        await find(store, "")
    with pytest.raises(RightMissing):
        await find(store, "信息", caller=replace(READER, rights=frozenset()))


async def test_words_follow_each_change_and_go_with_the_resource(store: ExchangeStore) -> None:
    async with store.transaction() as tx:
        await tx.save_resource(replace(CATALOGUE[0], name_zh="离婚登记", revision=2), now=NOW)
    assert await codes(store, "婚姻") == []
    assert await codes(store, "离婚") == ["307001/000001"]
    async with store.transaction() as tx:
        await tx.save_resource(replace(CATALOGUE[0], retired=True, revision=3), now=NOW)
    assert await codes(store, provider=CIVIL) == []
    async with store.reading() as connection:
        left = select(func.count()).select_from(resource_term).where(resource_term.c.code == "307001/000001")
        assert await connection.scalar(left) == 0


async def test_who_holds_a_field_is_told_with_basic_registers_first(store: ExchangeStore) -> None:
    search = SearchService(store)
    found = await search.find_holders(["住址", "户主姓名", "户主", "学历", "Item 0"], READER)
    assert [(each.resource.code, each.item.label_zh, each.exact) for each in found["住址"]] == [
        ("101001/000001", "住址", True),
        ("307002/000001", "住址", True),
    ]
    assert [each.exact for each in found["户主姓名"]] == [True]
    assert [(each.item.label_zh, each.exact) for each in found["户主"]] == [("户主姓名", False)]
    assert found["学历"] == []
    assert len(found["Item 0"]) == 4


async def test_resources_of_an_earlier_release_are_indexed_at_the_start(store: ExchangeStore) -> None:
    async with store.transaction() as tx:
        await tx.connection.execute(resource_term.delete())
        await tx.connection.execute(update(resource).values(index_version=0))
    await keep_indexed(store)
    assert await codes(store, "婚姻") == ["307001/000001"]
    async with store.transaction() as tx:
        assert await tx.reindex(limit=10) == 0


async def test_earlier_versions_stay_readable_side_by_side(store: ExchangeStore) -> None:
    before = CATALOGUE[1]
    for revision in (1, 2, 3):
        after = replace(before, name_en=f"Register {revision}", revision=revision)
        async with store.transaction() as tx:
            later = NOW + timedelta(days=revision)
            await tx.save_resource(after, now=later, by=By("agency:x", f"change-{revision}"))
    entries = EntryService(store, clock=lambda: NOW)
    page = await entries.versions(HOUSEHOLD, page_size=3, page_token="", caller=READER)
    rest = await entries.versions(HOUSEHOLD, page_size=3, page_token=page.next_token, caller=READER)
    listed = [*page.rows, *rest.rows]
    assert [(each.resource.revision, each.by.change_id) for each in listed] == [
        (3, "change-3"),
        (2, "change-2"),
        (1, "change-1"),
        (0, ""),
    ]
    assert listed[-1].resource == before
    assert (await entries.version(HOUSEHOLD, 2, READER)).resource.name_en == "Register 2"
    (difference,) = await entries.compare(HOUSEHOLD, 1, 3, READER)
    assert (difference.path, difference.before, difference.after) == ("name_en", "Register 1", "Register 3")
    with pytest.raises(ResourceNotFound):
        await entries.version(HOUSEHOLD, 9, READER)
    with pytest.raises(ResourceNotFound):
        await entries.versions("307009/1", page_size=0, page_token="", caller=READER)


async def test_quality_is_measured_by_the_provider_with_a_date(store: ExchangeStore) -> None:
    entries = EntryService(store, clock=lambda: NOW)
    measure = QualityMeasure(date(2026, 11, 19), 0.99, 0.95, 0.999, 1000, POLICE)
    request = new_id()
    await entries.record_quality(request, HOUSEHOLD, measure, POLICE_CALLER)
    await entries.record_quality(request, HOUSEHOLD, measure, POLICE_CALLER)
    with pytest.raises(RequestIdReused):
        await entries.record_quality(request, HOUSEHOLD, replace(measure, accuracy=0.1), POLICE_CALLER)
    assert await entries.quality(HOUSEHOLD) == (measure,), "a repeat changes nothing"
    again = replace(measure, accuracy=0.5, measured_by="operator")
    await entries.record_quality(new_id(), HOUSEHOLD, again, OPERATOR)
    assert await entries.quality(HOUSEHOLD) == (again,)
    with pytest.raises(ResourceNotOwned):
        await entries.record_quality(new_id(), "307001/000001", measure, POLICE_CALLER)
    for broken in ({"accuracy": 1.1}, {"sample": 0}, {"measure_date": date(2026, 11, 21)}):
        with pytest.raises(RequestInvalid):
            await entries.record_quality(new_id(), HOUSEHOLD, replace(measure, **broken), POLICE_CALLER)
    assert QualityRecorded(HOUSEHOLD, measure.measure_date) == QualityRecorded(HOUSEHOLD, date(2026, 11, 19))
