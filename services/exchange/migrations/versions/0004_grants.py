# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: applications and what grants execute."""

revision = "0004_grants"
down_revision = "0003_catalogue"


def upgrade() -> None:
    """Nothing yet: the room is kept so that parts built side by side keep one order."""
