# SPDX-License-Identifier: Apache-2.0
"""What residents owe for their cases, and what was paid."""

revision = "0015_payments"
down_revision = "0014_search"


def upgrade() -> None:
    """Nothing yet."""
