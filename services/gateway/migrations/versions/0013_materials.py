# SPDX-License-Identifier: Apache-2.0
"""Reserved."""

revision = "0013_materials"
down_revision = "0012_statistics"


def upgrade() -> None:
    """Nothing yet."""
