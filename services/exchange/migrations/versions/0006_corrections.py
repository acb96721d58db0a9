# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: corrections and their receivers."""

revision = "0006_corrections"
down_revision = "0005_calls"


def upgrade() -> None:
    """Nothing yet: the room is kept so that parts built side by side keep one order."""
