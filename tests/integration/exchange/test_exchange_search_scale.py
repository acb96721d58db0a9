# SPDX-License-Identifier: Apache-2.0
"""Very many resources: a search looks at as many rows as it would among few.

`TONGBAN_SCALE=100000 pytest -s` on this file tells the figures of a whole country's catalogue; every run checks the plan.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.exchange.domain.resource import Resource, ResourceField, Sensitivity, SharingClass
from services.exchange.domain.search import ask
from services.exchange.service.search import START, SearchService
from services.exchange.store import ExchangeStore
from services.exchange.store.search import _postings, _probed
from tests.support.best_of_three import seconds
from tests.support.exchange_stored import opened
from tests.support.exchange_world import HOSPITAL_CALLER, NOW, household

MANY = int(os.environ.get("TONGBAN_SCALE", "5000"))
BATCH = 1_000
_PLACES = ["浦东", "徐汇", "静安", "长宁", "黄浦", "虹口", "杨浦", "普陀", "宝山", "闵行"]
_THEMES = ["婚姻登记", "户籍管理", "医疗保险", "不动产登记", "企业法人", "车辆管理", "出生医学", "教育学籍", "税务申报"]
_KINDS = ["信息", "档案", "名录", "证明", "记录", "统计"]
_ENGLISH = ["marriage", "household", "insurance", "property", "company", "vehicle", "birth", "school", "tax"]
_ITEMS = ["姓名", "公民身份号码", "住址", "登记日期", "状态", "证件号码", "有效期", "机构名称"]


def resources(count: int) -> Iterator[Resource]:
    """A city's catalogue, made up; the words are as unequal as real ones."""
    chance = random.Random(7)
    for number in range(count):
        theme = min(int(chance.expovariate(0.5)), len(_THEMES) - 1)
        labels = chance.sample(_ITEMS, 3)
        yield household(
            code=f"3{theme:02d}{number % 900:03d}/{number:06d}",
            name_zh=f"{chance.choice(_PLACES)}{_THEMES[theme]}{chance.choice(_KINDS)}",
            name_en=f"{_ENGLISH[theme]} register {number}",
            provider=f"1199010000{number % 500:06d}0X",
            sharing_class=chance.choice(list(SharingClass)),
            fields=tuple(
                ResourceField(f"item_{i}", label, label, Sensitivity.PERSONAL) for i, label in enumerate(labels)
            ),
            revision=1,
        )


async def fill(store: ExchangeStore, count: int) -> float:
    """Bring them in as an import does; give the seconds."""
    everything, began = list(resources(count)), time.perf_counter()
    for start in range(0, count, BATCH):
        async with store.transaction() as tx:
            await tx.save_resources([(None, each) for each in everything[start : start + BATCH]], now=NOW)
    seconds = time.perf_counter() - began
    if store.dialect == "postgresql":
        async with store.reading() as connection:
            await connection.exec_driver_sql("ANALYZE resource, resource_term")
    return seconds


async def plan(store: ExchangeStore, statement: Any) -> str:
    """How the database goes about it."""
    text = str(statement.compile(dialect=store.engines.reading.dialect, compile_kwargs={"literal_binds": True}))
    explain = "EXPLAIN" if store.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
    async with store.reading() as connection:
        return "\n".join(str(row) for row in await connection.exec_driver_sql(f"{explain} {text}"))


async def test_a_search_among_very_many_stays_in_its_index(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path) as store:
        taken = await fill(store, MANY)
        print(f"{store.dialect}: {MANY} resources in {taken:.1f} s, {MANY / taken:.0f}/s")
        search = SearchService(store)
        for text, filters in (
            ("信息", {}),  # a word that a sixth of all have
            ("浦东 婚姻登记 信息", {}),
            ("marriage registers", {"sharing_class": SharingClass.CONDITIONAL}),
            ("教育学籍 证明", {"provider": "11990100000000070X"}),
            ("", {"theme": "300"}),
            ("register 77777", {}),
        ):
            for any_word in (False, True):

                async def find(text: str = text, any_word: bool = any_word, filters: Any = filters) -> object:
                    return await search.search(
                        text, any_word=any_word, page_size=20, page_token="", caller=HOSPITAL_CALLER, **filters
                    )

                took = await seconds(find)
                print(f"{store.dialect}: {text!r} {filters} any={any_word}: {took * 1000:.0f} ms")
        question = ask("浦东 婚姻登记 信息")
        walk = _postings(question.words[0]).order_by("place", "code").limit(1000)
        told = await plan(store, _probed(walk, question.words[1:], question.needed[1:]))
        assert "Seq Scan" not in told
        assert "SCAN resource_term" not in told.replace("SCAN resource_term USING", "")
        holders = await seconds(lambda: search.find_holders(_ITEMS, HOSPITAL_CALLER))
        print(f"{store.dialect}: holders of {len(_ITEMS)} items: {holders * 1000:.0f} ms")
        (found, _) = await store.window(question, question.words[0], START, limit=1000)
        assert len(found) <= 1000
