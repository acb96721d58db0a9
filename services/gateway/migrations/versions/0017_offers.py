# SPDX-License-Identifier: Apache-2.0
"""Matters that are offered to those they are for."""

revision = "0017_offers"
down_revision = "0016_shadow"


def upgrade() -> None:
    """Nothing yet."""
