# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: the opening list and its releases."""

revision = "0008_open_data"
down_revision = "0007_providers"


def upgrade() -> None:
    """Nothing yet: the room is kept so that parts built side by side keep one order."""
