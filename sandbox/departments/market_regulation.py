# SPDX-License-Identifier: Apache-2.0
"""Market regulation: what its file does, and the platform learns of every firm that is registered or struck off."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from sandbox.register import Output
from sandbox.work import Operation, Work


@dataclass(frozen=True, slots=True)
class Firm:
    """A firm that was registered or struck off by a case."""

    case_id: str
    uscc: str
    name: str = ""
    """Empty for one that was struck off."""


Announce = Callable[[Firm], Awaitable[None]]
"""Tells the platform; the same case again changes nothing."""


class MarketRegulation:
    """Does what the file says, then tells the platform: a firm that nobody can verify is not open."""

    key: ClassVar[str] = "market_regulation"

    def __init__(self, own: Mapping[str, Operation], announce: Announce) -> None:
        self._own = own
        self._announce = announce

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Those of its file, two of them with a word to the platform."""
        return {**self._own, "business_registration": self.open, "business_deregistration": self.close}

    async def open(self, work: Work) -> Output:
        """Register a firm."""
        output = await self._own["business_registration"](work)
        await self._announce(Firm(work.case_id, str(output["uscc"]), work.text("firm_name")))
        return output

    async def close(self, work: Work) -> Output:
        """Strike a firm off."""
        output = await self._own["business_deregistration"](work)
        await self._announce(Firm(work.case_id, work.text("uscc")))
        return output
