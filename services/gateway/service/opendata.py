# SPDX-License-Identifier: Apache-2.0
"""Open data as everybody sees it; the exchange keeps it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from services.kit.paging import Page
from services.kit.text import Text


@dataclass(frozen=True, slots=True)
class ColumnView:
    """One published column."""

    name: str
    label: Text
    role: str


@dataclass(frozen=True, slots=True)
class DatasetView:
    """One entry of the opening list."""

    dataset: str
    resource: str
    title: Text
    description: Text
    keywords: Sequence[str]
    theme: str
    cycle: str
    license: str
    opening: str
    condition: str
    basis: str
    about: str
    form: str
    columns: Sequence[ColumnView]
    k: int
    diversity: int


@dataclass(frozen=True, slots=True)
class FileView:
    """One file of a release."""

    format: str
    media_type: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """One version; without files once it was withdrawn."""

    dataset: str
    version: int
    license: str
    period_start: str
    period_end: str
    publish_time: datetime
    rows: int
    k: int
    diversity: int
    suppressed: int
    rules: Mapping[str, Any]
    files: Sequence[FileView]
    leaf_index: int
    leaf_hash: str
    withdraw_time: datetime | None
    withdraw_reason: str


@dataclass(frozen=True, slots=True)
class CatalogueView:
    """The catalogue in one notation."""

    content: bytes
    media_type: str
    sha256: str


class OpenData(Protocol):
    """The exchange, in the gateway's words. Everything raises Unavailable, and the exchange's own refusals."""

    async def datasets(self, *, page_size: int, page_token: str) -> Page[DatasetView]:
        """List what is open, by name."""

    async def dataset(self, name: str) -> DatasetView:
        """Read one data set."""

    async def releases(self, name: str, *, page_size: int, page_token: str) -> Page[ReleaseView]:
        """List versions, newest first."""

    async def release(self, name: str, version: int) -> ReleaseView:
        """Read one version."""

    def content(self, name: str, version: int, form: str, *, offset: int, length: int) -> AsyncIterator[bytes]:
        """Read a part of a file, in pieces."""

    async def catalogue(self, notation: str) -> CatalogueView:
        """Read the catalogue, `turtle` or `json_ld`."""
