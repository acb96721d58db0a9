# SPDX-License-Identifier: Apache-2.0
"""The departments of the sandbox city, read from agencies.yaml."""

from dataclasses import dataclass
from pathlib import Path

import yaml

PATH = Path(__file__).with_name("agencies.yaml")


@dataclass(frozen=True, slots=True)
class Agency:
    """One department and the rights that it needs for its part."""

    key: str
    uscc: str
    name_zh: str
    name_en: str
    rights: tuple[str, ...]


def load(path: Path = PATH) -> dict[str, Agency]:
    """All departments by key, in the order of the file."""
    listing = yaml.safe_load(path.read_text(encoding="utf-8"))["agencies"]
    return {
        row["key"]: Agency(row["key"], row["uscc"], row["name_zh"], row["name_en"], tuple(sorted(row["rights"])))
        for row in listing
    }
