# SPDX-License-Identifier: Apache-2.0
"""What the REST door needs from outside, and what its routes share."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from services.kit.caller import Caller

Ready = Callable[[], Awaitable[Mapping[str, str]]]
"""Answers the parts that are not ready, each with one sentence why; empty when all are."""


class Verifier(Protocol):
    """Tells who a bearer token stands for; `services.kit.tokens.TokenVerifier` is one."""

    async def verify(self, token: str) -> Caller:
        """Verify an access token. Raises Unauthenticated; Unavailable where the keys can't be had."""
        ...
