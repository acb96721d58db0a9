# SPDX-License-Identifier: Apache-2.0
"""Keeps the place of the area clocks in the order of the schema."""

revision = "0006_clocks"
down_revision = "0005_engine"


def upgrade() -> None:
    """Change nothing yet."""
