# SPDX-License-Identifier: Apache-2.0
"""Licenses of the calling resident."""

from typing import Any

from pydantic import Field

from services.gateway.rest.shapes.base import Agency, Moment, Shape, Words


class LicenseSummary(Shape):
    """A license without what stands in it."""

    license_id: str = Field(description="UUID.")
    identifier: str = Field(description="Identifier of GB/T 36904.")
    type_code: str = Field(examples=["111000000000010033002"])
    name: Words
    version: int
    state: str = Field(description="`active`, `suspended`, `revoked`, `expired` or `superseded`.", examples=["active"])
    issuer: Agency
    issued: Moment
    expires: Moment | None = Field(description="Null for long-term.")
    case_id: str = Field(description="The case that led to it; empty outside a case.")
    own: bool = Field(description="False where the caller reads it for the holder, e.g. a newborn.")


class License(LicenseSummary):
    """One license with everything in it."""

    credential: str = Field(description="SD-JWT VC with all disclosures, as its holder keeps it.")
    attributes: dict[str, Any] | None = Field(description="What stands in it, by name.")


class Licenses(Shape):
    """Some licenses, newest first."""

    licenses: list[LicenseSummary]
    next_page_token: str = Field(description="Give it as `page_token` for the next page; empty on the last.")
