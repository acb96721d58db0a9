# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: cached answers, file drops and the health of providers."""

revision = "0007_providers"
down_revision = "0006_corrections"


def upgrade() -> None:
    """Nothing yet: the room is kept so that parts built side by side keep one order."""
