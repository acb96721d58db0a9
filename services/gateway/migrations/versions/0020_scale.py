# SPDX-License-Identifier: Apache-2.0
"""Reserved."""

revision = "0020_scale"
down_revision = "0019_archive"


def upgrade() -> None:
    """Nothing yet."""
