# SPDX-License-Identifier: Apache-2.0
"""The catalogue as documents: what goes out comes back in, and a faulty entry changes nothing."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.exchange.domain.document import ENTRIES_MAX, ROOT, DocumentFormat, read_document, write_document
from services.exchange.domain.metadata import (
    DataType,
    Metadata,
    Opening,
    ResourceFormat,
    SharingMethod,
    UpdateCycle,
)
from services.exchange.domain.resource import Resource, ResourceField, Sensitivity, SharingClass
from services.exchange.domain.version import places
from services.exchange.service.documents import DocumentService, Imported, Outcome
from services.kit.errors import RequestIdReused, RequestInvalid, RightMissing
from services.kit.ids import new_id
from tests.support.exchange_stored import opened
from tests.support.exchange_town import POLICE_CALLER, Town, entry
from tests.support.exchange_world import HOSPITAL_CALLER, HOUSEHOLD, OPERATOR, create_grant, household

FORMS = list(DocumentFormat)
words = st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="\ufffe\uffff"), max_size=12)
needed = words.filter(bool)
items = st.builds(
    ResourceField,
    st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
    needed,
    needed,
    st.sampled_from(Sensitivity),
    st.none() | st.sampled_from(DataType),
    st.integers(0, 1000),
    words,
)
entries = st.builds(
    household,
    code=st.from_regex(r"[1-3][0-9]{5,9}/[0-9]{1,6}", fullmatch=True).filter(str.isascii),
    name_zh=needed,
    name_en=words,
    sharing_class=st.sampled_from(SharingClass),
    sharing_reason=words,
    fields=st.lists(items, min_size=1, max_size=4).map(tuple),
    metadata=st.builds(
        Metadata,
        provider_name=words,
        abstract_zh=words,
        abstract_en=words,
        format=st.none() | st.sampled_from(ResourceFormat),
        format_detail=words,
        sharing_methods=st.lists(st.sampled_from(SharingMethod), unique=True).map(tuple),
        opening=st.none() | st.sampled_from(Opening),
        opening_condition=words,
        update_cycle=st.none() | st.sampled_from(UpdateCycle),
        publish_date=st.none() | st.dates(date(1000, 1, 1)),
        related=st.lists(st.just("307001/1"), max_size=1).map(tuple),
    ),
)


@given(st.lists(entries, min_size=1, max_size=3), st.sampled_from(FORMS))
def test_what_goes_out_comes_back_in(resources: list[Resource], form: DocumentFormat) -> None:
    read = read_document(write_document(resources, form), form, region="990100")
    assert [each.faults for each in read] == [()] * len(resources)
    for before, after in zip(resources, read, strict=True):
        assert after.resource is not None
        assert places(after.resource) == places(before)


def test_a_document_has_the_elements_of_the_guide() -> None:
    (told,) = json.loads(write_document([entry()], DocumentFormat.JSON))[ROOT]
    assert told["信息资源分类"] == {"类": "3", "项": "07", "目": "002"}
    assert told["信息资源名称"] == "居民户口簿"
    assert told["共享属性"] == {
        "共享类型": "有条件共享",
        "共享条件": "For services to residents.",
        "共享方式": ["服务接口"],
    }
    assert told["信息项信息"][1]["数据类型"] == "字符型C"
    assert (told["更新周期"], told["开放属性"]) == ("实时", {"是否向社会开放": "不予开放"})
    xml = write_document([entry()], DocumentFormat.XML).decode()
    assert "<更新周期>实时</更新周期>" in xml


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"[]", DocumentFormat.JSON),
        (b"{", DocumentFormat.JSON),
        (b"\xff\xfe", DocumentFormat.JSON),
        (b"[" * 100_000, DocumentFormat.JSON),
        (json.dumps({ROOT: []}).encode(), DocumentFormat.JSON),
        (json.dumps({ROOT: [{}] * (ENTRIES_MAX + 1)}).encode(), DocumentFormat.JSON),
        (b"<a/>", DocumentFormat.XML),
        (b"<a", DocumentFormat.XML),
        (f"<{ROOT}>{'<a>' * 5_000}{'</a>' * 5_000}</{ROOT}>".encode(), DocumentFormat.XML),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', DocumentFormat.XML),
        ('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x><x/>'.encode("utf-16"), DocumentFormat.XML),
    ],
)
def test_a_document_that_can_not_be_read_is_refused_as_a_whole(content: bytes, form: DocumentFormat) -> None:
    with pytest.raises(RequestInvalid):
        read_document(content, form, region="990100")


def test_every_fault_of_an_entry_is_told() -> None:
    (told,) = json.loads(write_document([entry()], DocumentFormat.JSON))[ROOT]
    told["更新周期"] = "每时"
    told["发布日期"] = "昨天"
    told["信息资源分类"]["项"] = "99"
    told["信息项信息"][0]["数据长度"] = "很长"
    told["信息项信息"][1] = 7
    del told["共享属性"]["共享类型"]
    content = json.dumps({ROOT: [told, "x"]}).encode()
    first, second = read_document(content, DocumentFormat.JSON, region="990100")
    assert {each.field for each in first.faults} == {
        "更新周期",
        "发布日期",
        "信息资源分类",
        "信息项信息[0].数据长度",
        "信息项信息[1].信息资源",
        "共享属性.共享类型",
    }
    assert first.resource is second.resource is None


class Desk(Town):
    """The use cases of documents beside those of changes."""

    def documents(self) -> DocumentService:
        return DocumentService(self.store, self.changes, self.rulebook, clock=lambda: self.now, region="990100")

    async def bring(self, resources: list[Resource], caller: Any = OPERATOR, **said: Any) -> list[Imported]:
        form = DocumentFormat.XML
        content = write_document(resources, form)
        return list(await self.documents().read(said.get("request_id", new_id()), form, content, caller))


@pytest.fixture
async def desk(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(database, tmp_path) as store:
        desk = Desk(store)
        await desk.rulebook.refresh()
        await desk.catalogue.put_resource(entry(timeout_ms=777), OPERATOR)
        yield desk


async def test_an_operators_document_is_taken_in_entry_by_entry(desk: Desk) -> None:
    await desk.grants.create(create_grant(), OPERATOR)
    narrower = replace(entry(), fields=entry().fields[:1])
    new = replace(entry(), code="307002/000009")
    broken = replace(entry(), code="307002/000010", provider="x")
    request = new_id()
    told = await desk.bring([narrower, new, broken, new], request_id=request)
    assert [each.outcome for each in told] == [Outcome.CHANGED, Outcome.CREATED, Outcome.FAULTY, Outcome.FAULTY]
    assert [each.field for each in told[2].faults] == ["resource.provider"]
    stored = await desk.store.read_resource(HOUSEHOLD)
    assert (len(stored.fields), stored.timeout_ms, stored.revision) == (1, 777, 2)
    assert (await desk.store.read_resource("307002/000009")).metadata == entry().metadata
    assert len(await desk.inbox()) == 1, "holders are told as by any change"
    again = await desk.bring([narrower, new, broken, new], request_id=request)
    assert [each.outcome for each in again[:2]] == [Outcome.UNCHANGED, Outcome.UNCHANGED]
    with pytest.raises(RequestIdReused):
        await desk.bring([new], request_id=request)


async def test_a_providers_document_becomes_proposals(desk: Desk) -> None:
    told = await desk.bring(
        [replace(entry(), code="307002/000009"), entry(), household(code="307002/8")], POLICE_CALLER
    )
    assert [each.outcome for each in told] == [Outcome.PROPOSED, Outcome.FAULTY, Outcome.FAULTY]
    assert (await desk.changes.get(told[0].change_id, POLICE_CALLER)).code == "307002/000009"
    assert {each.reason for each in told[1:]} == {"REQUEST_INVALID"}
    with pytest.raises(RightMissing):
        await desk.bring([entry()], HOSPITAL_CALLER)


async def test_the_whole_catalogue_goes_out_in_pages(desk: Desk) -> None:
    await desk.bring([replace(entry(), code=f"307002/00001{number}") for number in range(3)])
    found, token = [], ""
    while True:
        content, token = await desk.documents().write(
            DocumentFormat.JSON, codes=(), page_size=3, page_token=token, caller=HOSPITAL_CALLER
        )
        found += [each["信息资源代码"] for each in json.loads(content)[ROOT]]
        if not token:
            break
    assert found == [HOUSEHOLD, "307002/000010", "307002/000011", "307002/000012"]
    content, _ = await desk.documents().write(
        DocumentFormat.XML, codes=(HOUSEHOLD, "307009/1"), page_size=0, page_token="", caller=HOSPITAL_CALLER
    )
    (only,) = read_document(content, DocumentFormat.XML, region="990100")
    assert only.code == HOUSEHOLD
