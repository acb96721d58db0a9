# SPDX-License-Identifier: Apache-2.0
"""Every knob of the licenses service, read from LICENSES_* at start."""

from pathlib import Path

from pydantic import Field

from services.kit.config import Common

_TYPES = Path(__file__).parent / "types"


class Settings(Common, frozen=True):
    """The knobs that only this service has; the rest is common to all."""

    types: Path = Field(default=_TYPES, description="Folder of the license types, one YAML file each.")
    clock_skew_seconds: float = Field(
        default=60,
        ge=0,
        le=600,
        description="Seconds that a foreign clock may be off where dates are checked.",
    )
