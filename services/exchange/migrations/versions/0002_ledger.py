# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: witnesses, archives and hidden entries of the ledger."""

revision = "0002_ledger"
down_revision = "0001_first"


def upgrade() -> None:
    """Nothing yet: the room is kept so that parts built side by side keep one order."""
