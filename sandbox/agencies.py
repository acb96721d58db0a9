# SPDX-License-Identifier: Apache-2.0
"""The departments of the sandbox city, read from agencies.yaml."""

from dataclasses import dataclass
from pathlib import Path

from services.kit.yaml import load_yaml

PATH = Path(__file__).with_name("agencies.yaml")


@dataclass(frozen=True, slots=True)
class Clerk:
    """An account of a department that works by people."""

    key: str
    name_zh: str
    name_en: str
    rights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agency:
    """One department and the rights that it needs for its part."""

    key: str
    uscc: str
    name_zh: str
    name_en: str
    rights: tuple[str, ...]
    clerks: tuple[Clerk, ...] = ()


def load(path: Path = PATH) -> dict[str, Agency]:
    """All departments by key, in the order of the file."""
    listing = load_yaml(path.read_text(encoding="utf-8"))["agencies"]
    return {
        row["key"]: Agency(
            row["key"],
            row["uscc"],
            row["name_zh"],
            row["name_en"],
            tuple(sorted(row["rights"])),
            tuple(
                Clerk(one["id"], one["name_zh"], one["name_en"], tuple(one.get("rights", ())))
                for one in row.get("clerks", ())
            ),
        )
        for row in listing
    }
