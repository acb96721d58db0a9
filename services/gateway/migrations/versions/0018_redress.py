# SPDX-License-Identifier: Apache-2.0
"""Appeals, reopenings, supervision and delegations."""

revision = "0018_redress"
down_revision = "0017_offers"


def upgrade() -> None:
    """Nothing yet."""
