# SPDX-License-Identifier: Apache-2.0
"""How long something takes, for tests of scale that compare it with something else or tell it."""

import time
from collections.abc import Awaitable, Callable


async def seconds(ask: Callable[[], Awaitable[object]]) -> float:
    """The best of three."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        await ask()
        taken.append(time.perf_counter() - began)
    return min(taken)
