# SPDX-License-Identifier: Apache-2.0
"""A file that the provider drops: which column is whom it is about, which are fields, and of which type."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from services.exchange.domain.settings.loose import Checks

FORMATS = {"csv", "parquet"}
ENCODINGS = {"utf-8", "gb18030"}
TYPES = {"text", "integer", "number", "boolean", "date"}
_COLUMN_MAX = 200


@dataclass(frozen=True, slots=True)
class DropSettings:
    """How to read the provider's files. `columns`: field -> column; `types`: field -> type, text where left out."""

    TEXTS: ClassVar[frozenset[str]] = frozenset({"format", "key", "delimiter", "encoding", "rejected_percent_max"})
    TABLES: ClassVar[frozenset[str]] = frozenset({"columns", "types"})

    format: str
    key: str
    columns: Mapping[str, str]
    types: Mapping[str, str] = field(default_factory=dict)
    delimiter: str = ","
    encoding: str = "utf-8"
    rejected_percent_max: str = "5"

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Read what has the right shape."""
        return cls(
            format=given.get("format", ""),
            key=given.get("key", ""),
            columns=dict(given.get("columns", {})),
            types=dict(given.get("types", {})),
            delimiter=given.get("delimiter", "") or ",",
            encoding=(given.get("encoding", "") or "utf-8").lower(),
            rejected_percent_max=given.get("rejected_percent_max", "") or "5",
        )

    def plain(self) -> dict[str, Any]:
        """As stored and as told to operators."""
        return {
            "format": self.format,
            "key": self.key,
            "columns": dict(self.columns),
            "types": dict(self.types),
            "delimiter": self.delimiter,
            "encoding": self.encoding,
            "rejected_percent_max": self.rejected_percent_max,
        }

    def checks(self, fields: set[str]) -> Checks:
        """Say of each setting whether it holds."""
        return {
            "format": (self.format in FORMATS, "csv or parquet."),
            "key": (0 < len(self.key) <= _COLUMN_MAX, "The column that says whom a row is about."),
            "columns": (
                set(self.columns) == fields and all(0 < len(name) <= _COLUMN_MAX for name in self.columns.values()),
                "One column for every field of the resource, and no others.",
            ),
            "types": (
                set(self.types) <= fields and set(self.types.values()) <= TYPES,
                f"Fields of the resource, each one of {', '.join(sorted(TYPES))}.",
            ),
            "delimiter": (len(self.delimiter) == 1 and self.delimiter not in '"\r\n', "One character."),
            "encoding": (self.encoding in ENCODINGS, "utf-8 or gb18030."),
            "rejected_percent_max": (
                self.rejected_percent_max.isdecimal() and int(self.rejected_percent_max) <= 100,  # noqa: PLR2004
                "0 to 100 per cent of the rows.",
            ),
        }
