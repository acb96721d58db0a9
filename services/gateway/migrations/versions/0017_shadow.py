# SPDX-License-Identifier: Apache-2.0
"""Reserved."""

revision = "0017_shadow"
down_revision = "0016_signatures"


def upgrade() -> None:
    """Nothing yet."""
