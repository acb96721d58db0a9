# SPDX-License-Identifier: Apache-2.0
"""A provider that dials out needs no settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from services.exchange.domain.settings.loose import Checks


@dataclass(frozen=True, slots=True)
class ConnectorSettings:
    """Nothing: the provider dials out and says what it serves."""

    TEXTS: ClassVar[frozenset[str]] = frozenset()
    TABLES: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def read(cls, _given: Mapping[str, Any]) -> Self:
        """Read what has the right shape."""
        return cls()

    def plain(self) -> dict[str, Any]:
        """As stored and as told to operators."""
        return {}

    def checks(self, _fields: set[str]) -> Checks:
        """Nothing can be wrong."""
        return {}
