# SPDX-License-Identifier: Apache-2.0
"""The catalogue of everything open: written anew when the opening list or a release changes, and every five minutes."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from services.exchange.domain.opendata.dataset import Dataset
from services.exchange.domain.opendata.release import Release
from services.exchange.domain.resource import Resource
from services.exchange.service.opendata import RIGHT_TO_READ
from services.exchange.service.xroad import Members
from services.kit.caller import Caller
from services.kit.clock import Clock
from services.kit.errors import Unavailable
from services.kit.paging import Page

DATASETS_MAX = 500
RELEASES_MAX = 5
"""Newest versions of each data set that the catalogue shows; the others are found through the data set."""
_AGE_SECONDS = 300.0
_PAGE = 200


class CatalogueFormat(StrEnum):
    """Notations of RDF."""

    TURTLE = "turtle"
    JSON_LD = "json_ld"


MEDIA_TYPES: Mapping[CatalogueFormat, str] = {
    CatalogueFormat.TURTLE: "text/turtle; charset=utf-8",
    CatalogueFormat.JSON_LD: "application/ld+json",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One data set as the catalogue shows it; releases newest first, none withdrawn."""

    dataset: Dataset
    resource: Resource
    publisher: str
    releases: Sequence[Release]


@dataclass(frozen=True, slots=True)
class Written:
    """The catalogue in one notation."""

    content: bytes
    media_type: str
    sha256: str


Write = Callable[[Sequence[Entry], datetime, CatalogueFormat], bytes]


class CatalogueRows(Protocol):
    """What is read for the catalogue."""

    async def opendata_stamp(self) -> str:
        """Give what changes whenever the opening list or a release does."""

    async def open_datasets(self, *, closed: bool, page_size: int, page_token: str) -> Page[Dataset]:
        """Give data sets by name."""

    async def releases(self, dataset: str, *, page_size: int, page_token: str) -> Page[Release]:
        """Give releases, newest first."""

    async def read_resource(self, code: str) -> Resource:
        """Read a resource."""


class OpenCatalogue:
    """Writes at most one catalogue at a time, beside the loop, and keeps what it wrote."""

    def __init__(
        self,
        rows: CatalogueRows,
        members: Members,
        write: Write,
        *,
        clock: Clock,
        monotonic: Callable[[], float],
    ) -> None:
        self._rows = rows
        self._members = members
        self._write = write
        self._clock = clock
        self._monotonic = monotonic
        self._kept: dict[CatalogueFormat, tuple[str, float, Written]] = {}
        self._turn = asyncio.Lock()

    async def written(self, wanted: CatalogueFormat, caller: Caller) -> Written:
        """Give the catalogue."""
        caller.must(RIGHT_TO_READ)
        stamp = await self._rows.opendata_stamp()
        if (kept := self._fresh(wanted, stamp)) is not None:
            return kept
        async with self._turn:
            if (kept := self._fresh(wanted, stamp)) is not None:
                return kept
            entries = await self._entries()
            content = await asyncio.to_thread(self._write, entries, self._clock(), wanted)
            written = Written(content, MEDIA_TYPES[wanted], hashlib.sha256(content).hexdigest())
            self._kept[wanted] = (stamp, self._monotonic() + _AGE_SECONDS, written)
        return written

    def _fresh(self, wanted: CatalogueFormat, stamp: str) -> Written | None:
        kept = self._kept.get(wanted)
        if kept is None or kept[0] != stamp or kept[1] < self._monotonic():
            return None
        return kept[2]

    async def _entries(self) -> list[Entry]:
        names: dict[str, str] = {}
        with suppress(Unavailable):  # Then a publisher goes by its code for a while.
            names = dict(await self._members.agencies())
        entries: list[Entry] = []
        token = ""
        while len(entries) < DATASETS_MAX:
            page = await self._rows.open_datasets(closed=False, page_size=_PAGE, page_token=token)
            for each in page.rows[: DATASETS_MAX - len(entries)]:
                resource = await self._rows.read_resource(each.resource)
                releases = await self._rows.releases(each.dataset, page_size=RELEASES_MAX, page_token="")
                there = [release for release in releases.rows if not release.withdrawn]
                entries.append(Entry(each, resource, names.get(resource.provider, resource.provider), there))
            token = page.next_token
            if not token:
                break
        return entries
