# SPDX-License-Identifier: Apache-2.0
"""Closed cases leave the table of open ones."""

revision = "0020_archive"
down_revision = "0019_ratings"


def upgrade() -> None:
    """Nothing yet."""
