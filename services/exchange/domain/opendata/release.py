# SPDX-License-Identifier: Apache-2.0
"""What was published: versions that never change, until one is taken back with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from services.exchange.domain.opendata.dataset import Dataset, License
from services.kit.errors import NotFound, Refusal

PERIOD_DAYS_MAX = 36_600


class Format(StrEnum):
    """In which form a file is."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


MEDIA_TYPES: Mapping[Format, str] = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.JSON: "application/json",
    Format.PARQUET: "application/vnd.apache.parquet",
}


class OpenDatasetNotFound(NotFound):
    """The opening list has no such data set."""


class ReleaseNotFound(NotFound):
    """The data set has no such release, or the release no such file."""


class DatasetClosed(Refusal):
    """The data set is not opened."""


class SourceInvalid(Refusal):
    """The records can't be taken as they are: a column is missing, a value is no text or number, or there are too many."""


class ReleaseWithdrawn(Refusal):
    """The release was taken back; its files are gone."""


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One file of a release; `sha256` in hexadecimal."""

    format: Format
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a data set. `rules`: per column the step that was used, and what k and l were asked for."""

    dataset: str
    version: int
    license: License
    period_start: date
    period_end: date
    publish_time: datetime
    rows: int
    k: int
    diversity: int
    suppressed: int
    rules: Mapping[str, object]
    files: tuple[ReleaseFile, ...]
    leaf_index: int
    leaf_hash: str
    withdraw_time: datetime | None = None
    withdraw_reason: str = ""

    @property
    def withdrawn(self) -> bool:
        """Whether it was taken back."""
        return self.withdraw_time is not None

    def file(self, wanted: Format) -> ReleaseFile:
        """Give one file. Raises ReleaseWithdrawn, ReleaseNotFound."""
        if self.withdrawn:
            raise ReleaseWithdrawn("The release was taken back.")
        found = next((each for each in self.files if each.format is wanted), None)
        if found is None:
            raise ReleaseNotFound("The release has no such file.")
        return found


@dataclass(frozen=True, slots=True)
class ReleasePublished:
    """A version was published."""

    dataset: str
    version: int
    resource: str


@dataclass(frozen=True, slots=True)
class ReleaseTakenBack:
    """A version was taken back."""

    dataset: str
    version: int
    resource: str


def must_be_open(dataset: Dataset) -> None:
    """Refuse what the opening list closes."""
    if not dataset.open:
        raise DatasetClosed("The data set is not opened.", metadata={"opening": dataset.opening.value})


def withdraw(release: Release, *, reason: str, now: datetime) -> Release:
    """Take a version back. Its description stays, so that nobody wonders where it went."""
    if release.withdrawn:
        raise ReleaseWithdrawn("The release was taken back before.")
    return replace(release, withdraw_time=now, withdraw_reason=reason)
