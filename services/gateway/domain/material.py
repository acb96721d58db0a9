# SPDX-License-Identifier: Apache-2.0
"""Materials as a definition names them: what a case needs beside its form, why, and what may stand for it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from services.gateway.domain.parts import STEPS_MAX, Basis, Cel, Meaning, Name, Part
from services.kit.text import Text

BYTES_MAX = 20_000_000
"""Of one file, whatever a definition says."""
MATERIALS_MAX = 30


class MediaType(StrEnum):
    """What a file may be; each is told by its first bytes."""

    PDF = "application/pdf"
    PNG = "image/png"
    JPEG = "image/jpeg"


class Material(Part):
    """One thing to hand in. A license of the applicant's, or what a step fetches, may stand for an upload."""

    id: Name
    title: Text
    hint: Text | None = None
    """What must be seen in it."""
    basis: Basis
    optional: bool = False
    when: Cel | None = None
    """Over `answers`: else it is not needed. Where it can't be told, it is."""
    media_types: tuple[MediaType, ...] = Field(default=tuple(MediaType), min_length=1, max_length=3)
    bytes_max: int = Field(default=5_000_000, ge=1_000, le=BYTES_MAX)
    """Of one file."""
    count_max: int = Field(default=1, ge=1, le=10)
    """Files."""
    license_type: Annotated[str, StringConstraints(min_length=21, max_length=21)] | None = None
    """A license of this type that the applicant holds stands for it."""
    fact: Name | None = None
    """The step that fetches it from the department that holds it: unless the applicant does without that step, nothing is handed in."""
    seen_by: tuple[Name, ...] = Field(min_length=1, max_length=STEPS_MAX)
    """Tasks whose departments see it; nobody else does."""
    proves: tuple[Meaning, ...] = Field(default=(), max_length=30)
    """What one reads in it, so that nobody hands in what departments hold already."""
    asked_because: Text | None = None
    """Why it is asked although a department holds it."""
