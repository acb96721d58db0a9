# SPDX-License-Identifier: Apache-2.0
"""What the engine reads on every commit."""

revision = "0021_speed"
down_revision = "0020_archive"


def upgrade() -> None:
    """Nothing yet."""
