# SPDX-License-Identifier: Apache-2.0
"""Ratings and the messages of a case."""

revision = "0019_ratings"
down_revision = "0018_redress"


def upgrade() -> None:
    """Nothing yet."""
