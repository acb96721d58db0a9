# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: batches, subscriptions, requests and consents."""

revision = "0005_calls"
down_revision = "0004_grants"


def upgrade() -> None:
    """Nothing yet: the room is kept so that parts built side by side keep one order."""
