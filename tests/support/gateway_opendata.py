# SPDX-License-Identifier: Apache-2.0
"""Open data as the exchange would answer: one data set, two versions, the first withdrawn."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from services.gateway.service.opendata import CatalogueView, ColumnView, DatasetView, FileView, ReleaseView
from services.kit.errors import NotFound
from services.kit.paging import Page
from services.kit.text import Text

NAME = "births-by-month"
CONTENT = b"birth_date,count\r\n" + b"2026-01,40\r\n" * 30_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
_NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
_PIECE = 256 * 1024

DATASET = DatasetView(
    dataset=NAME,
    resource="307004/000001",
    title=Text(zh="按月出生人数", en="Births by month"),
    description=Text(zh="按月。", en="By month."),
    keywords=("births",),
    theme="soci",
    cycle="monthly",
    license="cc_by_4",
    opening="unconditional",
    condition="",
    basis="PIPL art. 73(4)",
    about="persons",
    form="counts",
    columns=(ColumnView("birth_date", Text(zh="月", en="Month"), "dimension"),),
    k=5,
    diversity=1,
)


class FakeOpenData:
    """Keeps what it was asked for last."""

    def __init__(self) -> None:
        self.read: list[tuple[int, int]] = []

    async def datasets(self, *, page_size: int, page_token: str) -> Page[DatasetView]:
        assert page_size
        return Page((), "") if page_token else Page((DATASET,), "next")

    async def dataset(self, name: str) -> DatasetView:
        if name != NAME:
            raise NotFound("There is no such data set.")
        return DATASET

    async def releases(self, name: str, *, page_size: int, page_token: str) -> Page[ReleaseView]:
        assert page_size
        await self.dataset(name)
        newest = () if page_token else (await self.release(name, 2),)
        return Page((*newest, await self.release(name, 1)))

    async def release(self, name: str, version: int) -> ReleaseView:
        await self.dataset(name)
        if version > 2:
            raise NotFound("The data set has no such release.")
        withdrawn = version == 1
        files = () if withdrawn else (FileView("csv", "text/csv; charset=utf-8", len(CONTENT), SHA256),)
        return ReleaseView(
            dataset=name,
            version=version,
            license="cc_by_4",
            period_start="2026-01-01",
            period_end="2026-06-30",
            publish_time=_NOW,
            rows=30_000,
            k=40,
            diversity=1,
            suppressed=5,
            rules={"k": 5},
            files=files,
            leaf_index=7,
            leaf_hash="ab" * 32,
            withdraw_time=_NOW if withdrawn else None,
            withdraw_reason="Wrong month." if withdrawn else "",
        )

    async def content(self, name: str, version: int, form: str, *, offset: int, length: int) -> AsyncIterator[bytes]:
        assert (name, version, form) == (NAME, 2, "csv")
        self.read.append((offset, length))
        wanted = CONTENT[offset : offset + length]
        for place in range(0, len(wanted), _PIECE):
            yield wanted[place : place + _PIECE]

    async def catalogue(self, notation: str) -> CatalogueView:
        media_type = {"turtle": "text/turtle; charset=utf-8", "json_ld": "application/ld+json"}[notation]
        content = b"[]" if notation == "json_ld" else b"<urn:a> a <urn:b> ."
        return CatalogueView(content, media_type, hashlib.sha256(content).hexdigest())
