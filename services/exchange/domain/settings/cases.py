# SPDX-License-Identifier: Apache-2.0
"""A provider of the sandbox that answers from cases in files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from services.exchange.domain.settings.loose import Checks

_KEY_MAX = 64


@dataclass(frozen=True, slots=True)
class CaseSettings:
    """`key`: the parameter of a case that says whom it is about. `mapping`: field -> dotted path; left out where the payload has the fields' names."""

    TEXTS: ClassVar[frozenset[str]] = frozenset({"key"})
    TABLES: ClassVar[frozenset[str]] = frozenset({"mapping"})

    key: str = "subject_key"
    mapping: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Read what has the right shape."""
        return cls(key=given.get("key", "") or "subject_key", mapping=dict(given.get("mapping", {})))

    def plain(self) -> dict[str, Any]:
        """As stored and as told to operators."""
        return {"key": self.key, "mapping": dict(self.mapping)}

    def checks(self, fields: set[str]) -> Checks:
        """Say of each setting whether it holds."""
        return {
            "key": (0 < len(self.key) <= _KEY_MAX, "The name of a parameter."),
            "mapping": (
                not self.mapping
                or (fields <= set(self.mapping) <= fields | {"subject_key"} and all(self.mapping.values())),
                "Nothing, or one path for every field of the resource, and no others.",
            ),
        }
