# SPDX-License-Identifier: Apache-2.0
"""Corrections are found by their subject, so that they forget a person whose key is erased."""

from alembic import op

revision = "0011_corrections_by_subject"
down_revision = "0010_connector_lines"


def upgrade() -> None:
    """Add the index."""
    op.create_index("correction_by_subject", "correction", ["subject"])
