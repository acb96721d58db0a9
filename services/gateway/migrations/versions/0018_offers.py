# SPDX-License-Identifier: Apache-2.0
"""Reserved."""

revision = "0018_offers"
down_revision = "0017_shadow"


def upgrade() -> None:
    """Nothing yet."""
