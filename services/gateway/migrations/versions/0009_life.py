# SPDX-License-Identifier: Apache-2.0
"""Keeps the place of the area life in the order of the schema."""

revision = "0009_life"
down_revision = "0008_tasks"


def upgrade() -> None:
    """Change nothing yet."""
