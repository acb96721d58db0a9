# SPDX-License-Identifier: Apache-2.0
"""Keeps the place of the area tasks in the order of the schema."""

revision = "0008_tasks"
down_revision = "0007_definitions"


def upgrade() -> None:
    """Change nothing yet."""
