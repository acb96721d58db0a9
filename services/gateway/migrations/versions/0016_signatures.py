# SPDX-License-Identifier: Apache-2.0
"""Reserved."""

revision = "0016_signatures"
down_revision = "0015_ratings"


def upgrade() -> None:
    """Nothing yet."""
