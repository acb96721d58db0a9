# SPDX-License-Identifier: Apache-2.0
"""The shape that every department has: a key, a register, and the operations it does."""

from collections.abc import Mapping
from typing import ClassVar

from sandbox.city import City
from sandbox.register import Register
from sandbox.work import Operation
from services.kit.clock import Clock


class Department:
    """A department. Subclasses name their key and schema, load the city and do operations."""

    key: ClassVar[str]
    schema: ClassVar[str]

    def __init__(self, register: Register, clock: Clock) -> None:
        self.register = register
        self.clock = clock

    @property
    def operations(self) -> Mapping[str, Operation]:
        """What this department does in cases, by the code that matters use."""
        raise NotImplementedError

    async def load(self, city: City) -> None:
        """Fill the register with what the department knows of the city; again is harmless."""

    def today(self) -> str:
        """The day, as registers write it."""
        return self.clock().date().isoformat()
