# SPDX-License-Identifier: Apache-2.0
"""Open data."""

from typing import Any

from pydantic import Field

from services.gateway.rest.shapes.base import Moment, Shape, Words


class OpenColumn(Shape):
    """One published column."""

    name: str = Field(description="Its name in the files.", examples=["birth_date"])
    label: Words
    role: str = Field(description="`dimension`, `sensitive` or `measure`.", examples=["dimension"])


class OpenDataset(Shape):
    """One entry of the opening list."""

    dataset: str = Field(description="Its name.", examples=["births-by-month"])
    resource: str = Field(description="Code of the resource that it is made of.", examples=["307004/000001"])
    title: Words
    description: Words
    keywords: list[str] = Field(description="Words to be found by.")
    theme: str = Field(description="Subject, by the EU data-theme list.", examples=["soci"])
    cycle: str = Field(description="How often it is brought up to date.", examples=["monthly"])
    license: str = Field(description="Terms of use: `cc_by_4` or `cc0`.", examples=["cc_by_4"])
    opening: str = Field(description="`unconditional` or `conditional`.", examples=["unconditional"])
    condition: str = Field(description="The condition, where there is one.")
    basis: str = Field(description="Legal basis of the opening.")
    about: str = Field(description="`persons`, `organizations` or `things`.", examples=["persons"])
    form: str = Field(description="`records`, or `counts` of each kind.", examples=["counts"])
    columns: list[OpenColumn]
    k: int = Field(description="Fewest records that share every published combination, as the rules ask.")
    diversity: int = Field(description="Fewest sensitive values in each combination, as the rules ask.")


class OpenDatasets(Shape):
    """A page of data sets."""

    datasets: list[OpenDataset]
    next_page_token: str = Field(description="For the next page; empty on the last.")


class OpenFile(Shape):
    """One file of a release."""

    format: str = Field(description="`csv`, `json` or `parquet`.", examples=["csv"])
    media_type: str
    bytes: int = Field(description="Its length.")
    sha256: str = Field(description="SHA-256 in hexadecimal; also its ETag.")
    href: str = Field(description="Where it is, relative to this node.")


class OpenRelease(Shape):
    """One version of a data set. It never changes; one that was withdrawn has no files."""

    dataset: str
    version: int
    license: str
    period_start: str = Field(description="First day that it is about.", examples=["2026-01-01"])
    period_end: str = Field(description="Last day that it is about.", examples=["2026-06-30"])
    publish_time: Moment
    rows: int
    k: int = Field(description="k that the published table has.")
    diversity: int = Field(description="l that it has; 1 where there is no sensitive column.")
    suppressed: int = Field(description="Records left out, rounded up to a multiple of k.")
    rules: dict[str, Any] = Field(description="What it was made by: per column the step that was used.")
    files: list[OpenFile]
    leaf_index: int = Field(description="The leaf of its production in the exchange's ledger.")
    leaf_hash: str = Field(description="Hash of that leaf, hexadecimal.")
    withdraw_time: Moment | None = Field(description="When it was withdrawn.")
    withdraw_reason: str = Field(description="Why it was withdrawn.")


class OpenReleases(Shape):
    """A page of versions, newest first."""

    releases: list[OpenRelease]
    next_page_token: str = Field(description="For the next page; empty on the last.")
