# SPDX-License-Identifier: Apache-2.0
"""Reserved."""

revision = "0015_ratings"
down_revision = "0014_redress"


def upgrade() -> None:
    """Nothing yet."""
