# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: versions, notices, search and demands of the catalogue."""

revision = "0003_catalogue"
down_revision = "0002_ledger"


def upgrade() -> None:
    """Nothing yet: the room is kept so that parts built side by side keep one order."""
