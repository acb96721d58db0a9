# SPDX-License-Identifier: Apache-2.0
"""Keeps the place of the area definitions in the order of the schema."""

revision = "0007_definitions"
down_revision = "0006_clocks"


def upgrade() -> None:
    """Change nothing yet."""
