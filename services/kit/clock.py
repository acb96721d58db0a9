# SPDX-License-Identifier: Apache-2.0
"""Time is passed in: a rule about dates is a rule one can test."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Answers the present moment, always with a zone."""


def utc_now() -> datetime:
    """Answer the present moment in UTC."""
    return datetime.now(UTC)
