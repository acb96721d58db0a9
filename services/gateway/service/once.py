# SPDX-License-Identifier: Apache-2.0
"""A request under an id is done once, whoever repeats it and wherever."""

from services.gateway.service.engine import Turn
from services.gateway.service.ports import Remembered
from services.kit.caller import current_caller
from services.kit.errors import RequestIdReused


async def once(turn: Turn, request_id: str, digest: str, case_id: str) -> bool:
    """Whether the caller's request was done before; if not, it counts as done with this transaction.

    Raises:
        RequestIdReused: the id came with another request.
    """
    first = await turn.tx.remember(current_caller().label, request_id, Remembered(digest, case_id))
    if first is not None and first.fingerprint != digest:
        raise RequestIdReused("The request id belongs to another request.")
    return first is not None
