# SPDX-License-Identifier: Apache-2.0
"""What every shape shares."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer


def rfc3339(moment: datetime) -> str:
    """Write a moment in UTC with milliseconds, e.g. `2026-11-23T02:10:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[
    datetime, PlainSerializer(rfc3339, return_type=str), Field(json_schema_extra={"format": "date-time"})
]
"""A moment, RFC 3339 in UTC."""


class Shape(BaseModel):
    """An answer; made from a view of the same names."""

    model_config = ConfigDict(from_attributes=True, frozen=True, hide_input_in_errors=True)


class Asked(BaseModel):
    """A request; unknown fields and other types are refused, not guessed at."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Words(Shape):
    """The same words in Chinese and in English."""

    zh: str = Field(description="Chinese.", examples=["新生儿出生"])
    en: str = Field(description="English.", examples=["Birth of a child"])


class Agency(Shape):
    """A department."""

    role: str = Field(description="Its role in matters, e.g. `public_security`.", examples=["public_security"])
    uscc: str = Field(description="Unified social credit code, 18 characters.", examples=["11990100000001046G"])
    name: Words
