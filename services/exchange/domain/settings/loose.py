# SPDX-License-Identifier: Apache-2.0
"""What every kind of settings has in common: texts and tables of texts, by known names."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from services.kit.errors import Violation

URL_MAX = 1_000
Checks = dict[str, tuple[bool, str]]
"""By setting: whether it holds, and what it must be."""


class AdapterKind(StrEnum):
    """How the broker reaches a provider."""

    SQL = "sql"
    REST = "rest"
    CONNECTOR = "connector"
    FILE = "file"
    SANDBOX = "sandbox"


def path(name: str) -> str:
    """Name a setting as the contract does."""
    return f"resource.adapter_settings.{name}"


def shape_faults(
    kind: AdapterKind, given: Mapping[str, Any], *, texts: frozenset[str], tables: frozenset[str]
) -> list[Violation]:
    """Name every setting that the kind does not know, and every one of another type."""
    known = texts | tables
    return [
        *(Violation(path(name), f"Not a setting of the {kind.value} adapter.") for name in given if name not in known),
        *(Violation(path(name), "A text.") for name in texts & given.keys() if not isinstance(given[name], str)),
        *(Violation(path(name), "An object of texts.") for name in tables & given.keys() if not _is_table(given[name])),
    ]


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(each, str) for each in value.values())
