# SPDX-License-Identifier: Apache-2.0
"""Too many parked in a row: then the fault is ours, and every further message would only be parked as well."""

import asyncio
from typing import Final

from services.kit.logs import get_logger

IN_A_ROW_MAX: Final = 20


class Halt:
    """Counts messages parked in a row over all partitions; closes the gate at the bound, opens it when one succeeds."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._in_a_row = 0
        self._open = asyncio.Event()
        self._open.set()

    @property
    def passing(self) -> bool:
        """Whether messages are handled."""
        return self._open.is_set()

    async def gate(self) -> None:
        """Wait until messages are handled."""
        await self._open.wait()

    def parked(self) -> None:
        """One more message was parked."""
        self._in_a_row += 1
        if self._in_a_row >= IN_A_ROW_MAX and self._open.is_set():
            self._open.clear()
            get_logger().error("consumer_stopped", service=self._service, parked_in_a_row=self._in_a_row)

    def went_well(self) -> None:
        """A message was handled, perhaps a replayed one: go on."""
        self._in_a_row = 0
        if not self._open.is_set():
            self._open.set()
            get_logger().warning("consumer_goes_on", service=self._service)
