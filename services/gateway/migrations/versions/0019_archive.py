# SPDX-License-Identifier: Apache-2.0
"""Reserved."""

revision = "0019_archive"
down_revision = "0018_offers"


def upgrade() -> None:
    """Nothing yet."""
