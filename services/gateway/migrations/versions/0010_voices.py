# SPDX-License-Identifier: Apache-2.0
"""Keeps the place of the area voices in the order of the schema."""

revision = "0010_voices"
down_revision = "0009_life"


def upgrade() -> None:
    """Change nothing yet."""
