# SPDX-License-Identifier: Apache-2.0
"""What happened to the materials of a case."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class MaterialAdded:
    """The applicant handed something in: a file, or a license that stands for one."""

    at: datetime
    material: str
    material_id: str
    """Of this one thing (UUID)."""
    digest: str = ""
    """SHA-256 of the file, hexadecimal."""
    size: int = 0
    """Bytes."""
    media_type: str = ""
    scanner: str = ""
    """What looked for viruses in it."""
    license_id: str = ""
    identifier: str = field(default="", repr=False)
    """Of the license (GB/T 36904)."""


@dataclass(frozen=True, slots=True)
class MaterialRemoved:
    """The applicant took it back, file and all."""

    at: datetime
    material: str
    material_id: str


MaterialEvent = MaterialAdded | MaterialRemoved
