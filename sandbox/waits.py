# SPDX-License-Identifier: Apache-2.0
"""Waits that grow, so that a city of departments doesn't storm a platform that is just coming back."""

import random
from collections.abc import Iterator

_FIRST_SECONDS, _MOST_SECONDS = 0.1, 3.0


def growing(first: float = _FIRST_SECONDS, most: float = _MOST_SECONDS) -> Iterator[float]:
    """Seconds to wait before the next try, without end: doubling, never above `most`, spread by a quarter."""
    wait = first
    while True:
        yield wait * random.uniform(0.75, 1.0)  # noqa: S311 - spreads tries, hides nothing
        wait = min(wait * 2, most)
