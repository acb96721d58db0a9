# SPDX-License-Identifier: Apache-2.0
"""Keeps the place of the area engine in the order of the schema."""

revision = "0005_engine"
down_revision = "0004_ledger"


def upgrade() -> None:
    """Change nothing yet."""
