# SPDX-License-Identifier: Apache-2.0
"""What is left of the time that the first caller gave; it shrinks from service to service and never grows."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ENDS: ContextVar[float | None] = ContextVar("tongban_deadline", default=None)
"""On the clock of `time.monotonic`, seconds; None where nobody waits."""


def seconds_left() -> float | None:
    """Give the seconds left, possibly negative; None where nobody waits."""
    ends = ENDS.get()
    return None if ends is None else ends - time.monotonic()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give the work inside at most this long, and never more than is left."""
    ends = time.monotonic() + seconds
    outer = ENDS.get()
    before = ENDS.set(ends if outer is None else min(ends, outer))
    try:
        yield
    finally:
        ENDS.reset(before)
