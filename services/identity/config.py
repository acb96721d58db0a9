# SPDX-License-Identifier: Apache-2.0
"""Every knob of the identity service."""

from pydantic import Field

from services.kit.config import Common


class Settings(Common, frozen=True):
    """Every knob of the identity service, read from IDENTITY_* at start."""

    issuer: str = Field(
        default="https://identity.tongban.invalid",
        min_length=1,
        max_length=200,
        description="The issuer's name in access tokens (`iss`): the address that residents know the platform by.",
    )
    token_seconds: int = Field(default=600, ge=30, le=3600, description="Life of an access token, in seconds.")
    token_key_days: int = Field(
        default=30,
        ge=1,
        le=366,
        description="Days after which another key signs; the one before stays published.",
    )
    request_days: int = Field(
        default=30, ge=1, le=3660, description="Days for which a repeated request id gets its first answer again."
    )
