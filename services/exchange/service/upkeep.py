# SPDX-License-Identifier: Apache-2.0
"""What runs beside the calls: the rulebook forgets what changed, old answers go."""

import asyncio

from services.exchange.service.rulebook import Rulebook
from services.exchange.service.steps import StepService
from services.kit.errors import Unavailable

_RETRY_SECONDS = 1.0
_CLEANING_SECONDS = 3600.0


async def keep_fresh(rulebook: Rulebook, *, age_seconds_max: float) -> None:
    """Read what changed three times within the age that is allowed, so that one failure refuses nobody."""
    refreshed = True
    while True:
        await asyncio.sleep(age_seconds_max / 3 if refreshed else _RETRY_SECONDS)
        refreshed = await _refreshed(rulebook)


async def keep_clean(steps: StepService) -> None:
    """Delete what may no longer be kept, once an hour. A process that misses a turn leaves it to the next."""
    while True:
        try:
            await steps.drop_expired()
        except Unavailable:
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        await asyncio.sleep(_CLEANING_SECONDS)


async def _refreshed(rulebook: Rulebook) -> bool:
    try:
        await rulebook.refresh()
    except Unavailable:
        return False
    return True
