# SPDX-License-Identifier: Apache-2.0
"""Reserved."""

revision = "0014_redress"
down_revision = "0013_materials"


def upgrade() -> None:
    """Nothing yet."""
