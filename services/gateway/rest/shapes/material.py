# SPDX-License-Identifier: Apache-2.0
"""Materials: what is to be handed in, and what was."""

from pydantic import Field

from services.gateway.domain.materials import Way
from services.gateway.rest.shapes.base import Asked, Moment, Shape, Words


class GivenMaterial(Shape):
    """One thing that was handed in: a file, or a license that stands for one."""

    material_id: str = Field(description="UUID.", examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"])
    added: Moment
    digest: str = Field(description="SHA-256 of the file, hexadecimal; empty for a license.")
    size: int = Field(description="Bytes; 0 for a license.")
    media_type: str = Field(description="Empty for a license.", examples=["application/pdf"])
    scanner: str = Field(
        description="What looked for viruses in it: `clamav`, or `eicar-only`, which knows a test file alone.",
        examples=["clamav"],
    )
    license_id: str = Field(description="UUID; empty for a file.")
    identifier: str = Field(description="Of the license (GB/T 36904); empty for a file.")


class Material(Shape):
    """One material."""

    id: str = Field(description="Its name in addresses.", examples=["floor_plan"])
    title: Words
    hint: Words | None = Field(description="What must be seen in it; null for nothing more.")
    basis: str = Field(description="Legal basis of asking for it.")
    optional: bool
    media_types: list[str] = Field(description="What a file may be.", examples=[["application/pdf"]])
    bytes_max: int = Field(description="Of one file.")
    count_max: int = Field(description="Files at most.")
    license_type: str = Field(description="Type of the license that stands for it; empty where none does.")
    asked_because: Words | None = Field(description="Why it is asked although a department holds it; null elsewhere.")
    needed: bool = Field(description="Whether a submission is refused without it, by the answers as they are.")
    way: Way | None = Field(
        description="What stands for it: an upload, a license, or a fact that a department is asked for; null for nothing yet."
    )
    given: list[GivenMaterial] = Field(description="Oldest first.")


class ShownLicense(Asked):
    """An own license that stands for a material."""

    license_id: str = Field(
        min_length=36,
        max_length=36,
        description="UUID of an own license, of the material's `license_type` and in force.",
        examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    )
