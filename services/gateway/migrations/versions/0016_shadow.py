# SPDX-License-Identifier: Apache-2.0
"""Automatic decisions beside human ones."""

revision = "0016_shadow"
down_revision = "0015_payments"


def upgrade() -> None:
    """Nothing yet."""
